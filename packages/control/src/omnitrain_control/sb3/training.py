"""An algorithm of Stable-Baselines3 trained in pieces, between which it is saved, stopped and gone on with exactly.

The pieces are those of its own `learn`, in its order: the weights are the ones that `learn` would give.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit
from stable_baselines3.common.utils import safe_mean, should_collect_more_steps

from omnitrain.api import Run
from omnitrain.engine import rng_state, set_rng_state
from omnitrain.engine.state import map_tree
from omnitrain_control.sb3.guarding import guard_updates
from omnitrain_control.sb3.state import load_state, optimisers_of, state_of
from omnitrain_control.sb3.vecenv import FleetVecEnv

_UPDATES_AT_ONCE = 32
"""Updates of an off-policy algorithm between two looks at a request to stop."""


class _Left(Exception):
    """A piece that was left in its middle, since the run was asked to stop."""


class Training:
    """An algorithm and the environments that it learns in.

    total: environment steps, of all environments together; the rollout that passes it is finished. allowed: updates in a row
    that may be left out for gradients that are not finite. Its state holds everything that decides how it goes on: networks,
    optimisers, replay, counters, episodes, noise. The global generators, which Stable-Baselines3 draws from, are a Journal's.
    """

    def __init__(self, algorithm: BaseAlgorithm, environment: FleetVecEnv, run: Run, total: int, allowed: int) -> None:
        self.algorithm, self.environment, self.run, self.total = algorithm, environment, run, total
        algorithm.set_logger(Logger(folder=None, output_formats=[]))
        self.guards = guard_updates(optimisers_of(algorithm), run, allowed, lambda: self.steps)
        self.logged = 0
        self._callback: Any = None

    @property
    def steps(self) -> int:
        """Environment steps so far, of all environments together."""
        return int(self.algorithm.num_timesteps)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.steps >= self.total

    @property
    def is_settled(self) -> bool:
        """Whether all that was played is learned from."""
        return True

    def advance(self) -> None:
        """Do the next piece. Raises NumericalError where it diverges."""
        raise NotImplementedError

    def begin(self) -> None:
        """Begin episodes, once; `advance` and `load_state_dict` do so themselves."""
        if self._callback is None:
            _, self._callback = self.algorithm._setup_learn(self.total, None)

    def values(self) -> dict[str, float]:
        """Return what the algorithm noted since the last call, and empty its notes.

        The names are those of Stable-Baselines3, without its "train/".
        """
        logger = self.algorithm.logger
        found = {name.removeprefix("train/"): float(value) for name, value in logger.name_to_value.items()}
        logger.dump(self.steps)
        self.logged = self.steps
        episodes, successes = self.algorithm.ep_info_buffer, self.algorithm.ep_success_buffer
        if episodes:
            found["rollout/ep_rew_mean"] = float(safe_mean([episode["r"] for episode in episodes]))
            found["rollout/ep_len_mean"] = float(safe_mean([episode["l"] for episode in episodes]))
        if successes:
            found["rollout/success_rate"] = float(safe_mean(successes))
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides how it goes on."""
        self.begin()
        guards = {name: guard.state_dict() for name, guard in self.guards.items()}
        rest = {"environment": self.environment.state_dict(), "guards": guards, "logged": self.logged}
        return {**state_of(self.algorithm), **rest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.begin()
        load_state(self.algorithm, state, self.environment.load_state_dict(state["environment"]))
        for name, guard in self.guards.items():
            guard.load_state_dict(state["guards"][name])
        self.logged = int(state["logged"])


class OnPolicyTraining(Training):
    """A piece is a rollout and what is learned of it. One that is left for a stop is undone, and done again at resume."""

    def __init__(self, algorithm: OnPolicyAlgorithm, environment: FleetVecEnv, run: Run, total: int, allowed: int) -> None:
        super().__init__(algorithm, environment, run, total, allowed)
        self.on_policy = algorithm
        self._before: dict[str, Any] | None = None
        environment.check = self._leave_if_asked
        for optimiser in optimisers_of(algorithm).values():
            optimiser.register_step_post_hook(lambda *ignored: self._leave_if_asked())

    def _leave_if_asked(self) -> None:
        if self._before is not None and self.run.should_stop():
            raise _Left

    def advance(self) -> None:
        """Play a rollout and learn from it, or nothing of both where the run is asked to stop meanwhile."""
        self.begin()
        algorithm, random = self.on_policy, rng_state()
        self._before = map_tree(lambda tensor: tensor.detach().clone(), super().state_dict())
        try:
            assert algorithm.env is not None
            algorithm.collect_rollouts(algorithm.env, self._callback, algorithm.rollout_buffer, algorithm.n_steps)
            algorithm._update_current_progress_remaining(self.steps, self.total)
            algorithm.train()
        except _Left:
            set_rng_state(random)
            load_state(algorithm, self._before, None)
            return
        self._before = None

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides how it goes on; after a rollout that was left, where that began."""
        return super().state_dict() if self._before is None else self._before


class OffPolicyTraining(Training):
    """A piece is a step of all environments, or a few of the updates that are due after it.

    With state dependent exploration it is all steps between two trainings, since their noise is drawn at their begin.
    """

    def __init__(self, algorithm: OffPolicyAlgorithm, environment: FleetVecEnv, run: Run, total: int, allowed: int) -> None:
        super().__init__(algorithm, environment, run, total, allowed)
        self.off_policy = algorithm
        self._collected = self._episodes = self._due = 0
        every = int(getattr(algorithm, "target_update_interval", 1))
        self._at_once = every * -(-_UPDATES_AT_ONCE // every)  # targets are moved at every n-th update of a call

    @property
    def done(self) -> bool:
        """Whether the steps are played and learned from."""
        return super().done and self.is_settled

    @property
    def is_settled(self) -> bool:
        """Whether neither steps before the next updates nor updates are due."""
        return self._collected == 0 and self._due == 0

    def advance(self) -> None:
        """Do a step or some updates."""
        self.begin()
        if self._due > 0:
            now = min(self._due, self._at_once)
            self.off_policy.train(gradient_steps=now, batch_size=self.off_policy.batch_size)
            self._due -= now
        else:
            self._collect()

    def _collect(self) -> None:
        algorithm = self.off_policy
        wanted = algorithm.train_freq
        assert isinstance(wanted, TrainFreq)
        assert algorithm.env is not None
        assert algorithm.replay_buffer is not None
        rollout = algorithm.collect_rollouts(
            algorithm.env,
            callback=self._callback,
            train_freq=wanted if algorithm.use_sde else TrainFreq(1, TrainFrequencyUnit.STEP),
            replay_buffer=algorithm.replay_buffer,
            action_noise=algorithm.action_noise,
            learning_starts=algorithm.learning_starts,
            log_interval=None,
        )
        self._collected += rollout.episode_timesteps // algorithm.n_envs
        self._episodes += rollout.n_episodes
        if should_collect_more_steps(wanted, self._collected, self._episodes):
            return
        if self.steps > algorithm.learning_starts:
            asked = algorithm.gradient_steps
            self._due = asked if asked >= 0 else self._collected * algorithm.n_envs
        self._collected = self._episodes = 0

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides how it goes on."""
        pieces = {"collected": self._collected, "episodes": self._episodes, "due": self._due}
        return {**super().state_dict(), "pieces": pieces}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        super().load_state_dict(state)
        pieces = state["pieces"]
        self._collected, self._episodes, self._due = (int(pieces[name]) for name in ("collected", "episodes", "due"))


def training_of(algorithm: BaseAlgorithm, environment: FleetVecEnv, run: Run, total: int, allowed: int) -> Training:
    """Return the training of an algorithm of either kind."""
    if isinstance(algorithm, OnPolicyAlgorithm):
        return OnPolicyTraining(algorithm, environment, run, total, allowed)
    assert isinstance(algorithm, OffPolicyAlgorithm)
    return OffPolicyTraining(algorithm, environment, run, total, allowed)
