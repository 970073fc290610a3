"""Episodes of the experts with noise, some much and some little, as a replay of training has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.api import Batch, Context
from omnitrain.engine import build_once
from omnitrain.errors import UsageError
from omnitrain_control.cache import digest
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.trajectories import open_stores
from omnitrain_l2m import __version__
from omnitrain_l2m.worlds.games import HORIZON, World, expert_action


def record_expert(path: Path, task: str, episodes: int) -> None:
    """Play a task's expert; the deviation of the noise of an episode is drawn from 0..0.6."""
    world = World(task)
    with EpisodeWriter(path, final=("observations",)) as writer:
        for number in range(episodes):
            generator = np.random.default_rng([number, 1])
            observation, _ = world.reset(seed=number)
            deviation = generator.uniform(0, 0.6) if number % 3 else 0.0
            rows: dict[str, list[Any]] = {"observations": [observation], "actions": [], "rewards": [], "success": []}
            for _ in range(HORIZON):
                wanted = expert_action(world.task, observation)
                action = np.clip(wanted + generator.normal(0, deviation, wanted.shape), -1, 1).astype(np.float32)
                observation, reward, _, _, info = world.step(action)
                for name, value in (("observations", observation), ("actions", action), ("rewards", reward)):
                    rows[name].append(value)
                rows["success"].append(info["success"])
            arrays = {
                "observations": np.stack(rows["observations"]),
                "actions": np.stack(rows["actions"]),
                "rewards": np.array(rows["rewards"], np.float32),
                "success": np.array(rows["success"], bool),
                "terminals": np.zeros(HORIZON, bool),
            }
            writer.add(arrays)


class ExpertEpisodes:
    """Recorded on first use, as data whose stores others make examples of."""

    batch: Mapping[str, str] = {}  # of no batch: others make examples of the stores

    def __init__(self, task: str, episodes: int) -> None:
        self.task, self.episodes = task, episodes
        self.fingerprint = digest([__version__, task, episodes])
        self._stores: list[EpisodeStore] = []

    def prepare(self, workspace: Path, context: Context) -> None:
        """Record the episodes, or find them recorded."""
        folder = build_once(
            workspace / f"l2m-world-{self.fingerprint}", lambda path: record_expert(path, self.task, self.episodes)
        )
        self._stores = open_stores(folder)

    def stores(self) -> Sequence[EpisodeStore]:
        """Return where the episodes lie."""
        return self._stores

    def splits(self) -> Sequence[str]:
        """There are none of its own."""
        return []

    def examples(self, split: str) -> Sequence[Any]:
        """There are none of its own."""
        return []

    def collate(self, examples: Sequence[Any]) -> Batch:
        """Raise: batches are made by those who take the stores."""
        raise UsageError("The episodes of a world are read through l2m/tasks.")
