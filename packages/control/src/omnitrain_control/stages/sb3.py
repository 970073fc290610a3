"""Stage `control/sb3`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer

from omnitrain.api import Evaluation, Run
from omnitrain.engine import Journal, choose_device
from omnitrain.errors import Stopped, UsageError
from omnitrain_control.configs.stages import Sb3Config
from omnitrain_control.films import film
from omnitrain_control.fleets import make_fleet
from omnitrain_control.games import described_game, open_game, planned_game
from omnitrain_control.models.sb3 import Sb3Policy, policy_facts
from omnitrain_control.observations import is_vector
from omnitrain_control.rollouts import episode_metrics, play_episodes, shown_play
from omnitrain_control.sb3.archives import write_policy
from omnitrain_control.sb3.guarding import guard_outputs
from omnitrain_control.sb3.policies import count_parameters
from omnitrain_control.sb3.settings import made_algorithm, tried_algorithm
from omnitrain_control.sb3.state import arrays_of
from omnitrain_control.sb3.training import Training, training_of
from omnitrain_control.sb3.vecenv import FleetVecEnv, SpacesOnly
from omnitrain_control.sb3.views import view_of

ARCHIVE = "sb3.zip"


class Sb3:
    """Stage `control/sb3`."""

    def __call__(self, config: Sb3Config, run: Run) -> None:
        """Train, leave the policy as the model "model" with Stable-Baselines3's own zip file beside it, then play it.

        Raises UsageError for settings that the algorithm does not take, NumericalError where it diverges, Stopped after saving
        when asked to stop.
        """
        with open_game(_named(config).environment, run) as fleet:
            game = described_game(config.environment, fleet)
            view = view_of(fleet.source_space, fleet.action_space, config.policy)
            environment = FleetVecEnv(fleet, view.observation_space, view.action_space, view.observe, view.act)
            device = str(choose_device(config.device))
            algorithm = made_algorithm(config.algorithm, config.policy, environment, config.settings, run.seed("sb3"), device)
            guard_outputs(last_layer(algorithm), f"{run.name} ({config.algorithm})", "lower learning_rate of its settings")
            if config.start is not None:
                _begin_with(algorithm, run.build(config.start), config)
            training = training_of(algorithm, environment, run, config.steps, config.skip_nonfinite)
            _train(config, run, training)
            facts = policy_facts(game, fleet.source_space, fleet.action_space)
        model = Sb3Policy(algorithm.policy, view, config.policy, game)
        with tempfile.TemporaryDirectory(prefix="omnitrain-") as folder:
            write_policy(algorithm, Path(folder) / ARCHIVE)
            run.save_model(model, _component(config), facts=facts, assets=Path(folder))
        if config.keep_replay:
            replay: Any = algorithm
            _leave_replay(config, run, replay.replay_buffer)
        _measure(config, run, model)

    def plan(self, config: Sb3Config, run: Run) -> Sequence[str]:
        """Make one environment and the algorithm for it; say what is trained and what of it is not expected.

        Raises UsageError for settings that the algorithm does not take, EnvironmentFault for an environment that fails.
        """
        environment = _named(config).environment
        fleet, notes = planned_game(environment)
        view = view_of(fleet.source_space, fleet.action_space, config.policy)
        if config.keep_replay and not is_vector(view.observation_space):
            raise UsageError(
                f"keep_replay: control/trajectories reads vectors, and the observations are {fleet.source_space}; "
                "leave it out, or wrap the environment so that it gives vectors."
            )
        spaces = SpacesOnly(environment.count, view.observation_space, view.action_space)
        algorithm, warned = tried_algorithm(config.algorithm, config.policy, spaces, config.settings)
        count = count_parameters(algorithm.policy)
        lines = [f"{config.algorithm} of Stable-Baselines3 with {count} parameters plays {environment.id}", *warned]
        lines += [note for name, note in notes.items() if name != "flattened" or view.source is None]
        replay = getattr(algorithm, "replay_buffer", None)
        if replay is not None:
            rows = min(config.steps, replay.buffer_size * environment.count)
            one = sum(part.nbytes for _, part in arrays_of(replay)) / (replay.buffer_size * environment.count)
            lines.append(f"a checkpoint holds up to {rows} steps of replay, {one * rows / 1e6:.0f} MB")
        return lines


sb3 = Sb3()


def _named(config: Sb3Config) -> Sb3Config:
    if config.environment.id is None:
        raise UsageError("No game is named: set environment.id to the registered name of a gymnasium environment.")
    return config


def last_layer(algorithm: BaseAlgorithm) -> Any:
    """Return the part of a policy that gives its actions or values, before they are drawn or bounded."""
    policy: Any = algorithm.policy
    if hasattr(policy, "action_net"):
        return policy.action_net
    return policy.actor.mu if hasattr(policy, "actor") else policy.q_net.q_net


def _begin_with(algorithm: BaseAlgorithm, model: Any, config: Sb3Config) -> None:
    """Begin with the weights of another policy. Raises UsageError for one of another shape."""
    if not isinstance(model, Sb3Policy):
        raise UsageError(f"start: control/sb3 begins with policies of control/sb3, not with a {type(model).__name__}.")
    own, given = algorithm.policy.state_dict(), model.policy.state_dict()
    wrong = [name for name in {**own, **given} if name not in own or name not in given or own[name].shape != given[name].shape]
    if wrong:
        raise UsageError(
            f"start: its policy has other parts than {config.policy} of {config.algorithm} with these settings, at {wrong[0]}; "
            "give both the same algorithm, policy and policy_kwargs."
        )
    algorithm.policy.load_state_dict(given)


def _train(config: Sb3Config, run: Run, training: Training) -> None:
    """Train to the end, saving and logging where it is time to; a stop is looked for at every piece."""
    journal = Journal(run, training.state_dict, training.load_state_dict)
    journal.resume()
    training.begin()
    with run.progress("steps", config.steps) as bar:
        bar.advance(training.steps)
        while not training.done:
            before = training.steps
            training.advance()
            with suppress(Stopped):  # a stop is taken below, after saving
                bar.advance(training.steps - before)
            if training.is_settled and (training.done or _passed(training.logged, training.steps, config.log_every)):
                run.log(training.steps, training.values())
            asked = run.should_stop()
            if asked or training.done or _passed(before, training.steps, config.checkpoint_every):
                journal.save(training.steps)
            if asked and not training.done:
                journal.wait()
                run.stop_if_asked()
    journal.wait()


def _passed(before: int, now: int, every: int) -> bool:
    """Whether a multiple of `every` lies between two numbers of steps; 0 for never."""
    return every > 0 and now // every > before // every


def _component(config: Sb3Config) -> dict[str, Any]:
    settings = config.settings
    chosen = {
        "algorithm": config.algorithm,
        "policy": config.policy,
        "policy_settings": dict(settings.get("policy_kwargs", {})),
        "use_sde": bool(settings.get("use_sde", False)),
    }
    return {"use": "control/sb3", "config": chosen}


def _leave_replay(config: Sb3Config, run: Run, replay: ReplayBuffer) -> None:
    """Leave the replay's arrays [row, environment, ...] as the artifact "replay"."""
    details = {"use": "control/trajectories", "config": config.replay_settings()}
    with run.artifact("replay", "data", folder=True, **details) as path:
        np.savez(path / "replay.npz", pos=replay.pos, full=replay.full, **dict(arrays_of(replay)))


def _measure(config: Sb3Config, run: Run, model: Sb3Policy) -> None:
    """Play the policy, and report returns and a film."""
    if not config.episodes:
        return
    environment = config.environment
    seed, count = run.seed("evaluation"), min(environment.count, config.episodes)
    chosen = environment.model_copy(update={"count": count})
    with make_fleet(chosen, seed) as fleet, shown_play(run, config.episodes) as advance:
        played = play_episodes(fleet, model.player(fleet, environment.id, None), config.episodes, advance)
    figures = {}
    if config.film:
        shown = film(environment, seed, lambda fleet: model.player(fleet, environment.id, None), run.stop_if_asked)
        if isinstance(shown, str):
            run.event("no film", reason=shown)
        else:
            figures["episode"] = shown
    run.report("control/sb3", Evaluation(episode_metrics(played), figures=figures))
