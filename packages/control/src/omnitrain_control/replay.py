"""A ring of transitions, drawn from uniformly with an explicit generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.errors import UsageError

Arrays = Mapping[str, NDArray[Any]]


class ReplayBuffer:
    """The last `capacity` transitions as arrays. fields: name to (shape of one entry, dtype)."""

    def __init__(self, capacity: int, fields: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
        self.capacity = capacity
        self.arrays: dict[str, NDArray[Any]] = {n: np.zeros((capacity, *shape), dtype) for n, (shape, dtype) in fields.items()}
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, entries: Arrays) -> None:
        """Append transitions; each array is [count, ...]. The oldest make room.

        Raises UsageError when the fields are not those of the buffer.
        """
        if set(entries) != set(self.arrays):
            raise UsageError(f"A transition has the fields {', '.join(sorted(entries))}; expected {', '.join(self.arrays)}.")
        count = len(next(iter(entries.values())))
        places = np.arange(self.added, self.added + count) % self.capacity
        for name, values in entries.items():
            # Of more entries than fit only the last are kept; numpy does not promise which of equal places wins.
            self.arrays[name][places[-self.capacity :]] = values[-self.capacity :]
        self.added += count

    def sample(self, count: int, generator: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Draw transitions with replacement.

        Raises UsageError while the buffer is empty.
        """
        if not len(self):
            raise UsageError("The replay buffer is empty; collect before drawing from it.")
        rows = generator.integers(0, len(self), count)
        return {name: array[rows] for name, array in self.arrays.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what is held, without the empty rest."""
        return {"added": self.added, "arrays": {n: a[: len(self)].copy() for n, a in self.arrays.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.added = int(state["added"])
        for name, values in state["arrays"].items():
            self.arrays[name][: len(values)] = values


def mixed_sample(
    buffers: Mapping[str, ReplayBuffer], shares: Mapping[str, float], count: int, generator: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Draw from several buffers in fixed shares (RoboFuME: half online, half offline); the last takes the rounding."""
    names = list(shares)
    sizes = [round(shares[name] * count) for name in names[:-1]]
    sizes.append(count - sum(sizes))
    parts = [buffers[name].sample(size, generator) for name, size in zip(names, sizes, strict=True) if size]
    return {field: np.concatenate([part[field] for part in parts]) for field in parts[0]}
