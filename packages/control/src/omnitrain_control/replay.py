"""Replay on disk: whole episodes with their returns, drawn by the step; a checkpoint holds how many there are, no frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import DataError, EnvironmentFault, UsageError
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.readers.rules import ReadingRules, faults
from omnitrain_control.returns import monte_carlo_returns
from omnitrain_control.trajectories import Trajectories
from omnitrain_control.windows import chosen

Arrays = dict[str, NDArray[Any]]


class Draws(Protocol):
    """Something that transitions are drawn from, uniformly and with replacement."""

    def __len__(self) -> int: ...

    def draw(self, count: int, generator: np.random.Generator) -> Arrays:
        """Return transitions, arrays [count, ...]."""


class Transitions:
    """The steps of trajectories whose next observation is known, to be drawn from."""

    def __init__(self, trajectories: Trajectories) -> None:
        self.trajectories, self._usable = trajectories, trajectories.usable

    def __len__(self) -> int:
        return len(self._usable)

    def draw(self, count: int, generator: np.random.Generator) -> Arrays:
        """Draw transitions.

        Raises UsageError where there is none.
        """
        if not len(self):
            raise UsageError("There are no transitions to draw from: collect before drawing, or give data.")
        return self.trajectories.transitions(chosen(self._usable, generator.integers(0, len(self), count)))


class Replay:
    """Whole episodes in a folder that grows. Observations have one row more than there are steps.

    capacity: draw from the last so many steps, null for all; the files keep the rest. gamma: of the field "mc_returns" that
    each episode gets from its own rewards, null for none. failure: see `monte_carlo_returns`.
    State: how many episodes and steps there are. A folder that has gone on since is cut back to it, so that a run that goes on
    draws what an undisturbed one draws.
    """

    def __init__(
        self, folder: Path, capacity: int | None = None, gamma: float | None = None, failure: float | None = None
    ) -> None:
        self.capacity, self.gamma, self.failure = capacity, gamma, failure
        self._writer = EpisodeWriter(folder, final=("observations",), grow=True)
        self._seen: Trajectories | None = None

    @property
    def episodes(self) -> int:
        """How many episodes there are."""
        return len(self._writer)

    @property
    def trajectories(self) -> Trajectories:
        """All episodes so far."""
        if self._seen is None:
            self._seen = Trajectories([EpisodeStore.growing(self._writer)])
        return self._seen

    def __len__(self) -> int:
        """Count the steps that are drawn from."""
        steps = self.trajectories.steps
        return steps if self.capacity is None else min(steps, self.capacity)

    def add(self, episode: Mapping[str, NDArray[Any]], label: Mapping[str, Any] | None = None) -> None:
        """Add a whole episode: observations [steps + 1, ...], else [step, ...], "terminals" False at a time-out.

        Raises DataError for an episode that is broken, does not fit those before or lacks a field, EnvironmentFault for a full
        disk.
        """
        lacking = {"observations", "actions", "rewards", "terminals"} - set(episode)
        if lacking:
            raise DataError(f"An episode lacks {', '.join(sorted(lacking))}; a replay needs them at every step.")
        for kind, detail in faults(dict(episode), ReadingRules())[:1]:
            raise DataError(f"Episode {self.episodes} would be one of the {kind} ({detail}): leave it out.")
        if self.gamma is not None:
            length = np.array([len(episode["rewards"])])
            returns = monte_carlo_returns(episode["rewards"], length, self.gamma, self.failure)
            episode = {**episode, "mc_returns": returns}
        self._writer.add(episode, label)
        self._seen = None

    def draw(self, count: int, generator: np.random.Generator) -> Arrays:
        """Draw transitions.

        Raises UsageError while there is none.
        """
        held = len(self)
        if not held:
            raise UsageError("The replay holds no episode yet: collect before drawing from it.")
        first = self.trajectories.steps - held
        return self.trajectories.transitions(first + generator.integers(0, held, count))

    def state_dict(self) -> dict[str, Any]:
        """Make all episodes safe on disk; return how many episodes and steps they are."""
        self._writer.commit()
        return {"episodes": self.episodes, "steps": self._writer.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to the episodes of a state.

        Raises EnvironmentFault for a folder that holds fewer or others.
        """
        episodes, steps = int(state["episodes"]), int(state["steps"])
        lengths = self._writer.index.lengths
        if len(lengths) < episodes or sum(lengths[:episodes]) != steps:
            raise EnvironmentFault(
                f"{self._writer.folder} holds {len(lengths)} episodes, which are not the {episodes} of {steps} steps that the "
                "checkpoint was taken with: bring the folder back, or begin the stage anew."
            )
        self._writer.cut(episodes)
        self._seen = None

    def close(self) -> None:
        """Make everything safe and close the files."""
        self._writer.close()

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


def offline_rows(batch: int, ratio: float, offline: int, online: int) -> tuple[float, int]:
    """Return (share, rows) of the offline part of a batch: int(batch * share), the rest is online.

    ratio: the share; below 0 it is in proportion to the transitions held (Nakamoto et al. 2023, mixing_ratio). Raises
    UsageError for one above 1.
    """
    if ratio > 1:
        raise UsageError(f"The mixing ratio is {ratio}; expected a share from 0 to 1, or -1 for one in proportion to the data.")
    share = ratio if ratio >= 0 else offline / max(offline + online, 1)
    return share, int(batch * share)


def mixed_draw(offline: Draws, online: Draws, batch: int, ratio: float, generator: np.random.Generator) -> Arrays:
    """Draw a batch of int(batch * ratio) offline transitions, however few online ones there are, and online ones behind them.

    While nothing is online the whole batch is offline, and the other way round. "offline" bool[batch] tells them apart, for
    losses of demonstrations alone. Fields are those that both have.
    """
    _, rows = offline_rows(batch, ratio, len(offline), len(online))
    if not len(online):
        rows = batch
    elif not len(offline):
        rows = 0
    parts = [held.draw(count, generator) for held, count in ((offline, rows), (online, batch - rows)) if count]
    names: Sequence[str] = [name for name in parts[0] if all(name in part for part in parts)]
    mixed = {name: np.concatenate([part[name] for part in parts]) for name in names}
    return {**mixed, "offline": np.arange(batch) < rows}
