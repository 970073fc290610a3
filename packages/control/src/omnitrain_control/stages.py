"""Stage `control/record` and evaluator `control/rollouts`."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from omnitrain.api import Context, Evaluation, Metric, Run, numpy_generator
from omnitrain.errors import UsageError
from omnitrain_control.codecs import codec_of
from omnitrain_control.configs import EnvironmentConfig, RecordConfig, RolloutsConfig
from omnitrain_control.environments import Fleet, make_environment
from omnitrain_control.episodes import EpisodeWriter
from omnitrain_control.intervals import mean_interval
from omnitrain_control.model import Mlp, MlpActor, RandomActor
from omnitrain_control.rollouts import Actor, Collector, Decision, play_episodes


def make_fleet(config: EnvironmentConfig, seed: int) -> Fleet:
    """Make the environments of a config."""
    return Fleet(partial(make_environment, config.id, **config.settings), config.count, seed, config.processes)


class NoisyActor:
    """Another actor's decisions, some of them replaced by a random one."""

    def __init__(self, actor: Actor, random: RandomActor, noise: float) -> None:
        self.actor, self.random, self.noise = actor, random, noise

    def act(self, observations: Any, first: Any) -> Decision:
        """Decide for a batch."""
        chosen, drawn = self.actor.act(observations, first), self.random.act(observations, first)
        replaced = self.random.generator.random(len(first)) < self.noise
        classes = np.where(replaced[:, None], drawn.kept["actions"], chosen.kept["actions"])
        return Decision(list(self.random.codec.decode({"action": classes})), {"actions": classes})


def record(config: RecordConfig, run: Run) -> None:
    """Record whole episodes into the artifact "data", which `control/episodes` reads."""
    with make_fleet(config.environment, run.seed("environments")) as fleet:
        codec = codec_of(fleet.action_space)
        random = RandomActor(codec, numpy_generator(run.seed("actions")))
        actor: Actor = random
        if config.player is not None:
            player = run.build(config.player)
            if not isinstance(player, Mlp):
                raise UsageError(f"control/record plays models of control/mlp, not {type(player).__name__}.")
            actor = NoisyActor(MlpActor(player, codec, numpy_generator(run.seed("player"))), random, config.noise)
        classes = codec.heads["action"][1]
        with (
            run.artifact("data", "data", use="control/episodes", config={}) as path,
            EpisodeWriter(path) as writer,
            run.progress("episodes", config.episodes) as bar,
        ):
            for episode in _episodes(Collector(fleet), actor, config.episodes):
                writer.add({**episode, "classes": np.full(len(episode["rewards"]), classes)})
                bar.advance()


def _episodes(collector: Collector, actor: Actor, count: int) -> Any:
    """Yield the first `count` episodes, environment by environment, so that short ones are not favoured."""
    each = -(-count // collector.fleet.count)
    rows: list[list[dict[str, Any]]] = [[] for _ in range(collector.fleet.count)]
    steps: list[list[tuple[Any, Any, float]]] = [[] for _ in rows]
    while any(len(found) < each for found in rows):
        rollout = collector.collect(actor, 1)
        for row in range(len(rows)):
            step = (rollout.observations[row, 0], rollout.kept["actions"][row, 0], float(rollout.rewards[row, 0]))
            steps[row].append(step)
            if rollout.first[row, 1]:
                observations, actions, rewards = zip(*steps[row], strict=True)
                episode = {"observations": np.stack(observations).astype(np.float32), "actions": np.stack(actions)}
                rows[row].append({**episode, "rewards": np.array(rewards, np.float32)})
                steps[row] = []
    yield from [rows[row][number] for number in range(each) for row in range(len(rows))][:count]


class Rollouts:
    """Evaluator `control/rollouts`; see `RolloutsConfig`."""

    def __init__(self, config: RolloutsConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return the mean return and length of episodes.

        Raises UsageError for something that is not a model of control/mlp.
        """
        if not isinstance(predictor, Mlp):
            raise UsageError(f"control/rollouts plays models of control/mlp, not {type(predictor).__name__}.")
        with make_fleet(self.config.environment, run.seed("environments")) as fleet:
            generator = None if self.config.greedy else numpy_generator(run.seed("actions"))
            actor = MlpActor(predictor, codec_of(fleet.action_space), generator)
            episodes = play_episodes(fleet, actor, self.config.episodes)
        mean, low, high = mean_interval([e["return"] for e in episodes])
        length, *_ = mean_interval([e["length"] for e in episodes])
        count = len(episodes)
        return Evaluation({"return": Metric(mean, count, "higher", (low, high)), "length": Metric(length, count, unit="steps")})


def build_rollouts(config: RolloutsConfig, context: Context) -> Rollouts:
    """Make the evaluator `control/rollouts`."""
    return Rollouts(config)
