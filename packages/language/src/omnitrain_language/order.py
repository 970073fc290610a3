"""The order in which rows are seen: a permutation per epoch that is computed where it is needed, never stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Batch, BatchPlan
from omnitrain.errors import DataError

Ints = NDArray[np.int64]
_ROUNDS = 6


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64 bits (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def permute(indices: Ints, size: int, seed: int, epoch: int) -> Ints:
    """Return the images of indices under the permutation of 0..size-1 that belongs to (seed, epoch).

    A Feistel network on the next power of four, walked until the image lies inside: bijective by construction, with
    time and memory that depend on the number of indices only, so that any position of any epoch is reached at once.
    """
    half = max(1, -(-max(size - 1, 1).bit_length() // 2))
    low = np.uint64((1 << half) - 1)
    shift = np.uint64(half)
    keys = np.random.SeedSequence([seed, epoch]).generate_state(_ROUNDS, np.uint64)
    images = indices.astype(np.uint64)
    outside = np.ones(len(images), bool)
    while outside.any():
        left, right = images[outside] >> shift, images[outside] & low
        for key in keys:
            left, right = right, left ^ (_mix(right + key) & low)
        images[outside] = (left << shift) | right
        outside = images >= np.uint64(size)
    return images.astype(np.int64)


class RowStream:
    """Batches of rows as a function of their position: shuffled and endless, or in order and once.

    size: rows of the split. gather: makes a batch of row numbers, int64[n]; -1 asks for a row without loss. Every row
    is seen once per epoch, over all processes. The state is one number, valid for another number of processes too.
    """

    def __init__(self, size: int, plan: BatchPlan, gather: Callable[[Ints], Batch]) -> None:
        if size < 1:
            raise DataError("a split has no rows: it needs more text, or a smaller length")
        self._size, self._plan, self._gather = size, plan, gather
        self._position = 0

    def _rows(self, positions: Ints) -> Ints:
        if not self._plan.train:
            if self._plan.world == 1:
                return positions[positions < self._size]
            # All processes see the same number of batches, so that collective calls meet.
            return np.where(positions < self._size, positions, -1)
        epochs, within = np.divmod(positions, self._size)
        rows = np.empty_like(positions)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            rows[chosen] = permute(within[chosen], self._size, self._plan.seed, int(epoch))
        return rows

    def __iter__(self) -> Iterator[Batch]:
        plan = self._plan
        while plan.train or self._position < self._size:
            start = self._position + plan.rank * plan.batch_size
            rows = self._rows(np.arange(start, start + plan.batch_size))
            self._position += plan.world * plan.batch_size
            yield self._gather(rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the position, counted in rows over all processes."""
        return {"position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at that position."""
        self._position = int(state["position"])
