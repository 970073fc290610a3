"""Stage `control/record`."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnitrain.api import Run, numpy_generator
from omnitrain.errors import UsageError
from omnitrain_control.codecs import codec_of
from omnitrain_control.configs.stages import RecordConfig
from omnitrain_control.environments import make_fleet
from omnitrain_control.episodes import EpisodeWriter
from omnitrain_control.models import Mlp, MlpActor
from omnitrain_control.players import NoisyActor, RandomActor
from omnitrain_control.rollouts import Actor, Collector


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
