"""Data `control/episodes`: recorded steps as examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import Batch, Context, Fields
from omnitrain.engine import build_once, file_digest
from omnitrain.errors import DataError
from omnitrain_control import __version__
from omnitrain_control.cache import digest
from omnitrain_control.configs.data import EpisodesConfig
from omnitrain_control.configs.environments import EnvironmentConfig
from omnitrain_control.environments import make_environment
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.fleets import make_fleet
from omnitrain_control.games import described_game
from omnitrain_control.listing import INDEX

FIELDS: Fields = {"observations": "float32[batch, observation]", "actions": "int64[batch, choices]"}


BUILTIN = "builtin"
_BUILTIN_EPISODES = 40


def record_builtin(path: Path) -> None:
    """Record a pole on a cart, pushed towards where it falls; every fifth push is random."""
    game = EnvironmentConfig(id="CartPole-v1", count=1)
    with make_fleet(game, 0) as fleet:
        about = {"game": described_game(game, fleet)}
    environment = make_environment("CartPole-v1")
    with EpisodeWriter(path, about, final=("observations",)) as writer:
        for number in range(_BUILTIN_EPISODES):
            generator = np.random.Generator(np.random.PCG64(number))
            observation, _ = environment.reset(seed=number)
            observations, actions, over, terminated = [observation], [], False, False
            while not over:
                falling = int(observation[2] + observation[3] > 0)
                actions.append(int(generator.integers(2)) if generator.random() < 0.2 else falling)
                observation, _, terminated, truncated, _ = environment.step(actions[-1])
                observations.append(observation)
                over = terminated or truncated
            steps = len(actions)
            writer.add(
                {
                    "observations": np.stack(observations).astype(np.float32),
                    "actions": np.array(actions, np.int64)[:, None],
                    "rewards": np.ones(steps, np.float32),
                    "terminals": (np.arange(steps) == steps - 1) & terminated,
                    "classes": np.full(steps, 2, np.int64),
                }
            )


def builtin_episodes(workspace: Path) -> Path:
    """Return the folder of the built-in episodes, recorded on first use."""
    return build_once(workspace / f"control-builtin-pole-{__version__}", record_builtin)


class EpisodesData:
    """Steps of the kept episodes; see `EpisodesConfig`. Prepare it before examples are asked for."""

    batch = FIELDS

    def __init__(self, config: EpisodesConfig) -> None:
        self.config = config
        self._store: EpisodeStore | None = None
        self._episodes: dict[str, NDArray[np.int64]] = {}
        if config.path != BUILTIN:
            self._open(Path(config.path))

    def prepare(self, workspace: Path, context: Context) -> None:
        """Record the built-in episodes, or find them recorded."""
        if self._store is None:
            self._open(builtin_episodes(workspace))
        self._check(self.store)

    def _open(self, folder: Path) -> None:
        config, store = self.config, EpisodeStore(folder)
        missing = {"observations", "actions", "rewards", "classes"} - set(store.fields)
        if missing or not len(store):
            raise DataError(f"{folder} has no {', '.join(sorted(missing)) or 'episodes'}; record it with control/record.")
        kept = store.best(config.best)
        held = round(config.valid_fraction * len(kept))
        chosen = np.random.Generator(np.random.PCG64(0)).permutation(kept)
        self._episodes = {"train": np.sort(chosen[held:]), "valid": np.sort(chosen[:held])}
        self._store = store

    def _check(self, store: EpisodeStore) -> None:
        """Refuse episodes whose fields are none of steps; called once, since it reads all actions."""
        fields, folder = store.fields, store.folder
        for name, kind in (("observations", "a vector"), ("actions", "a vector of choices")):
            if fields[name].ndim != 2:
                raise DataError(f"{folder}: {name} have the shape {list(fields[name].shape[1:])} a step; expected {kind}.")
        actions, classes = fields["actions"], self._classes
        if len(actions) and not 0 <= int(actions.min()) <= int(actions.max()) < classes:
            raise DataError(
                f"{folder}: actions are {actions.min()} to {actions.max()}, but there are {classes} classes; expected classes "
                "from 0 (omnitrain_control.codecs encodes actions so)."
            )

    @property
    def _classes(self) -> int:
        fields = self.store.fields
        return int(fields["classes"][0]) if len(fields["classes"]) else 0

    @property
    def store(self) -> EpisodeStore:
        """The episodes.

        Raises RuntimeError before the built-in ones were prepared.
        """
        if self._store is None:
            raise RuntimeError("control/episodes was not prepared yet")
        return self._store

    @property
    def fingerprint(self) -> str:
        """Hash of the files and of the settings."""
        settings = self.config.model_dump(exclude={"path"})
        if self.config.path == BUILTIN:
            return digest([BUILTIN, __version__, settings])
        files = {name: file_digest(self.store.folder / f"{name}.bin") for name in sorted(self.store.fields)}
        return digest([files, file_digest(self.store.folder / INDEX), settings])

    def splits(self) -> Sequence[str]:
        """Name the splits that hold episodes."""
        return [name for name, episodes in self._episodes.items() if len(episodes)] or ["train", "valid"]

    def _steps(self, split: str) -> NDArray[np.int64]:
        offsets = self.store.offsets
        return np.concatenate([np.arange(offsets[e], offsets[e + 1]) for e in self._episodes[split]])

    def examples(self, split: str) -> NDArray[np.int64]:
        """Return the numbers of the split's steps."""
        return self._steps(split)

    def gather(self, split: str, rows: NDArray[np.int64]) -> Batch:
        """Return the batch of some rows of `examples`."""
        return self.collate(self._steps(split)[rows])  # type: ignore[arg-type]

    def collate(self, examples: Sequence[int]) -> Batch:
        """Return the batch of steps."""
        steps = np.asarray(examples, np.int64)
        return {
            "observations": torch.from_numpy(self.store.take("observations", steps).astype(np.float32)),
            "actions": torch.from_numpy(self.store.take("actions", steps).astype(np.int64)),
        }

    def stores(self) -> Sequence[EpisodeStore]:
        """Return where the episodes lie; see `GivesStores`."""
        return [self.store]

    def facts(self) -> Mapping[str, Any]:
        """Return the sizes that a policy needs, and the game in which the episodes were recorded, where they say it."""
        fields, game = self.store.fields, self.store.about.get("game")
        return {
            "observation_size": int(fields["observations"].shape[1]),
            "choices": int(fields["actions"].shape[1]),
            "classes": self._classes,
            **({} if game is None else {"game": game}),
        }


def build(config: EpisodesConfig, context: Context) -> EpisodesData:
    """Make the data `control/episodes`."""
    return EpisodesData(config)
