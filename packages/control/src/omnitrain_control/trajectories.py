"""Episodes of one or several stores as one set: windows with masks, transitions, returns; widths that differ are padded."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import DataError
from omnitrain_control.episodes import EpisodeStore
from omnitrain_control.listing import INDEX, store_folders
from omnitrain_control.returns import returns_to_go
from omnitrain_control.windows import Ints, window_steps

Arrays = dict[str, NDArray[Any]]


@runtime_checkable
class GivesStores(Protocol):
    """Data that lies in stores, which other data makes its own examples of."""

    def stores(self) -> Sequence[EpisodeStore]:
        """Return the stores; called after `prepare`."""


def open_stores(path: Path, cut: Literal["refuse", "skip"] = "refuse") -> list[EpisodeStore]:
    """Return the stores of a folder: itself, or the folders in it, one for each width, in the order of their names.

    Raises DataError where there is none, and for one that is cut short unless the episodes behind the cut are to be skipped.
    """
    folders = store_folders(str(path))
    if not folders:
        raise DataError(f"{path} holds no episodes: {INDEX} is missing or damaged.")
    return [EpisodeStore(folder, cut) for folder in folders]


class Trajectories:
    """Some episodes of stores, numbered from 0 in the order of stores and of episodes in them.

    A field that is a vector a step may have another width in each store: it is padded on the right with zeros to the widest,
    and `dimensions` tells which numbers are real. Fields are those that all stores have.
    keep: the numbers of the episodes of each store that take part, all where it is absent.
    lengths, offsets: steps of each episode, and where it begins among all steps, int64[episodes (+ 1)]. part: its store.
    Raises DataError for fields that fit in no such way.
    """

    def __init__(self, stores: Sequence[EpisodeStore], keep: Sequence[Ints] | None = None) -> None:
        self.stores = list(stores)
        kept = [np.arange(len(store)) for store in stores] if keep is None else [np.asarray(k, np.int64) for k in keep]
        self._number = np.concatenate([*kept, np.zeros(0, np.int64)]).astype(np.int64)
        self.part = np.repeat(np.arange(len(kept)), [len(numbers) for numbers in kept])
        self.lengths: Ints = np.concatenate([np.zeros(0, np.int64), *(s.lengths[k] for s, k in zip(stores, kept, strict=True))])
        self.offsets: Ints = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.lengths)])
        begins = [store.offsets[numbers] for store, numbers in zip(stores, kept, strict=True)]
        self._begin = np.concatenate([np.zeros(0, np.int64), *begins])
        names = [name for name in stores[0].fields if all(name in store.fields for store in stores)] if stores else []
        self.shapes: dict[str, tuple[int, ...]] = {name: self._shape(name) for name in names}
        self.dtypes = {name: np.result_type(*(store.fields[name].dtype for store in stores)) for name in names}

    def _shape(self, name: str) -> tuple[int, ...]:
        shapes = {store.fields[name].shape[1:] for store in self.stores}
        if len(shapes) > 1 and {len(shape) for shape in shapes} != {1}:
            raise DataError(
                f"{self.stores[0].folder} and {len(self.stores) - 1} other stores have {name} of the shapes "
                f"{', '.join(map(str, sorted(shapes)))} a step; only vectors may have several widths."
            )
        return max(shapes)

    def __len__(self) -> int:
        return len(self.lengths)

    def subset(self, episodes: Ints) -> Trajectories:
        """Return some of the episodes, numbered anew in the order in which they are named."""
        found = copy.copy(self)
        found.__dict__.pop("usable", None)
        for name in ("_number", "part", "lengths", "_begin"):
            setattr(found, name, getattr(self, name)[episodes])
        found.offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(found.lengths)])
        return found

    @property
    def returns(self) -> NDArray[np.float64]:
        """The sum of the rewards of each episode, float64[episodes]."""
        found = np.zeros(len(self))
        for part, store in enumerate(self.stores):
            rows = self.part == part
            found[rows] = store.returns[self._number[rows]]
        return found

    @property
    def steps(self) -> int:
        """Steps of all episodes."""
        return int(self.offsets[-1])

    def place(self, steps: Ints) -> tuple[Ints, Ints]:
        """Return (episode, step in it) of steps numbered over all episodes."""
        episodes = np.searchsorted(self.offsets, steps, side="right").astype(np.int64) - 1
        return episodes, steps - self.offsets[episodes]

    def dimensions(self, name: str) -> NDArray[np.bool_]:
        """Return which numbers of a vector are real in each store, bool[store, width]."""
        widths = np.array([store.fields[name].shape[1] for store in self.stores])
        return np.arange(self.shapes[name][0]) < widths[:, None]

    def gather(self, name: str, episodes: Ints, within: Ints, after: int = 0) -> NDArray[Any]:
        """Return a field at steps of episodes, [row, ..., *shape]; one gather for each store.

        episodes: int64[row]. within: steps in them, int64[row, ...]. after: 1 for the next observation.
        """
        steps = self._begin[episodes].reshape(-1, *[1] * (within.ndim - 1)) + within
        if len(self.stores) == 1:
            return self.stores[0].take(name, steps, after)
        parts, shape = self.part[episodes], self.shapes[name]
        out = np.zeros((*within.shape, *shape), self.dtypes[name])
        for number in np.unique(parts):
            rows = parts == number
            found = self.stores[number].take(name, steps[rows], after)
            out[(rows, ..., slice(found.shape[-1])) if len(shape) == 1 else rows] = found
        return out

    @cached_property
    def _to_go(self) -> list[NDArray[np.float32]]:
        return [returns_to_go(np.asarray(store.fields["rewards"]), store.lengths) for store in self.stores]

    def returns_to_go(self, episodes: Ints, within: Ints) -> NDArray[np.float32]:
        """Return the undiscounted sum of rewards from steps to their episodes' ends, float32, of the shape of `within`."""
        steps = self._begin[episodes].reshape(-1, *[1] * (within.ndim - 1)) + within
        if len(self.stores) == 1:
            return self._to_go[0].take(steps)
        parts = self.part[episodes]
        out = np.zeros(within.shape, np.float32)
        for number in np.unique(parts):
            rows = parts == number
            out[rows] = self._to_go[number][steps[rows]]
        return out

    def windows(self, episodes: Ints, starts: Ints, size: int, names: Sequence[str] | None = None) -> Arrays:
        """Return windows [row, size, ...], left-padded with zeros where an episode ends before they are full.

        episodes: int64[row]. starts: first steps in them. names: fields, all by default. Besides these: "timesteps"
        int64[row, size], "attention_mask" bool[row, size], "dones" bool[row, size] at last steps, "returns_to_go"
        float32[row, size] where there are rewards, and "action_mask" bool[row, size, width] where actions are vectors.
        """
        within, real = window_steps(starts, self.lengths[episodes], size)
        out: Arrays = {name: self.gather(name, episodes, within) for name in names or self.shapes}
        if "rewards" in self.shapes:
            out["returns_to_go"] = self.returns_to_go(episodes, within)
        out["timesteps"], out["dones"] = within, within == self.lengths[episodes][:, None] - 1
        if len(self.shapes.get("actions", ())) == 1:
            out["action_mask"] = np.repeat(self.dimensions("actions")[self.part[episodes]][:, None], size, 1)
        padded = np.nonzero(~real)
        if len(padded[0]):
            for values in out.values():
                values[padded] = 0
        return {**out, "attention_mask": real}

    def transitions(self, steps: Ints, names: Sequence[str] | None = None) -> Arrays:
        """Return single steps [row, ...] with "next_observations", which are the next row of the observations.

        steps: numbered over all episodes; of `usable`, where what follows an episode's last step was not kept.
        """
        episodes, within = self.place(steps)
        out: Arrays = {name: self.gather(name, episodes, within) for name in names or self.shapes}
        behind = np.ones(len(steps), np.int64)
        if not self.keeps_final:
            # What follows a terminal step counts for nothing, and nothing is kept there: the step itself stands for it.
            behind = (within < self.lengths[episodes] - 1).astype(np.int64)
            out["next_observations"] = self.gather("observations", episodes, within + behind)
        else:
            out["next_observations"] = self.gather("observations", episodes, within, after=1)
        return out

    @property
    def keeps_final(self) -> bool:
        """Whether every store holds what is observed after the last step."""
        return all("observations" in store.final for store in self.stores)

    @cached_property
    def usable(self) -> Ints | range:
        """The steps whose next observation is known or counts for nothing: all, or all but last ones that are not terminal.

        Raises DataError where nobody tells which ends are terminal.
        """
        if self.keeps_final:
            return range(self.steps)
        if "terminals" not in self.shapes:
            raise DataError(
                f"{self.stores[0].folder} does not tell which ends are terminal: give terminals, or say what its dones are "
                "(dones: terminal or timeout)."
            )
        last = self.offsets[1:][self.lengths > 0] - 1
        episodes, within = self.place(last)
        cut = last[~self.gather("terminals", episodes, within).astype(bool)]
        return np.setdiff1d(np.arange(self.steps), cut, assume_unique=True)

    @property
    def labels(self) -> list[Mapping[str, Any]]:
        """What was kept with each episode."""
        return [self.stores[part].labels[number] for part, number in zip(self.part, self._number, strict=True)]
