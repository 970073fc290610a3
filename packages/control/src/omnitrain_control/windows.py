"""Which steps of an episode a window holds, and windows drawn as a function of a seed and a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Batch, BatchPlan
from omnitrain.errors import DataError

Ints = NDArray[np.int64]


def window_steps(
    starts: Ints, lengths: Ints, size: int, pad: Literal["left", "right"] = "left"
) -> tuple[Ints, NDArray[np.bool_]]:
    """Return (steps within the episode int64[row, size], which of them are real bool[row, size]) of windows.

    A window is [start, min(start + size, length)). What is missing is padded on the left, or on the right; a padded place names
    the nearest real step, so that whoever gathers may repeat it or put zeros there.
    """
    starts, lengths = np.asarray(starts, np.int64), np.asarray(lengths, np.int64)
    held = np.minimum(size, lengths - starts)
    places = np.arange(size) - (size - held)[:, None] if pad == "left" else np.broadcast_to(np.arange(size), (len(held), size))
    real = (places >= 0) & (places < held[:, None])
    return starts[:, None] + np.clip(places, 0, held[:, None] - 1), real


def drawn_steps(total: int, count: int, seed: int, number: int) -> Ints:
    """Return draw `number` of `count` of so many steps, with replacement: a function of its arguments.

    A step drawn uniformly from all steps is an episode drawn in proportion to its length and a uniform start in it.
    """
    return np.random.default_rng([seed, number]).integers(0, total, count)


def chosen(steps: Ints | range, rows: Ints) -> Ints:
    """Return some of the steps; of a range without an array of all of them."""
    return steps.start + rows if isinstance(steps, range) else steps[rows]


class StepStream:
    """Batches of drawn steps, endless for training, else every step of `fixed` once. State: the number of the next batch.

    make: returns the batch of steps numbered 0, 1, ... total - 1. fixed: in evaluation.
    """

    def __init__(self, make: Callable[[Ints], Batch], total: int, fixed: Ints, plan: BatchPlan) -> None:
        if not total:
            raise DataError("The split has no steps.")
        self._make, self._total, self._fixed, self._plan, self._next = make, total, fixed, plan, 0

    def __iter__(self) -> Iterator[Batch]:
        while (steps := self._steps(self._next)) is not None:
            self._next += 1
            yield {"example_ids": steps, **self._make(steps)}

    def _steps(self, number: int) -> Ints | None:
        plan = self._plan
        count = plan.batch_size * plan.world
        if plan.train:
            return drawn_steps(self._total, count, plan.seed, number)[plan.rank :: plan.world]
        chosen = self._fixed[number * count : (number + 1) * count]
        if not len(chosen):
            return None
        return np.resize(chosen, max(len(chosen), plan.world))[plan.rank :: plan.world]

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the next batch."""
        return {"next": self._next}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with that batch; takes the same time wherever it is."""
        self._next = int(state["next"])
