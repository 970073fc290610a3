"""Several whole examples in one row: which share a row, and where their tokens go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from omnitrain_ul2.paper.spans import Ints


def assign_rows(sizes: Ints, capacity: Sequence[int], rows: int) -> Ints:
    """The row of each example, int64[examples], or -1 where none had room; used rows are numbered without gaps.

    sizes: int64[examples, sides], tokens of every example on each side, none above capacity; capacity: tokens of a row
    on each side. Both sides of an example lie in one row. A row begins with the first example left, so that none waits
    for ever. Then it takes what lies most along its free room (largest scalar product): long targets join short ones.
    """
    share = sizes / np.asarray(capacity)
    row = np.full(len(sizes), -1)
    left = np.arange(len(sizes))
    for number in range(rows):
        room = np.ones(share.shape[1])
        chosen = 0
        while len(left):
            row[left[chosen]] = number
            room = room - share[left[chosen]]
            left = np.delete(left, chosen)
            # Shares are rounded: a row that is full to the last token leaves a little less or more than nothing.
            fits = (share[left] <= room + 1e-9).all(axis=1)
            if not fits.any():
                break
            chosen = int(np.argmax(np.where(fits, share[left] @ room, -1.0)))
    return row


class Placement:
    """Where the examples of a batch lie on one side of its rows, to move any of its fields there.

    lengths: tokens of each example, int64[examples]; row: its row; examples of a row follow each other in their order.
    """

    def __init__(self, lengths: Ints, row: Ints, rows: int, capacity: int) -> None:
        order = np.argsort(row, kind="stable")
        sizes = lengths[order]
        before = np.cumsum(sizes) - sizes
        firsts = np.searchsorted(row[order], np.arange(rows))
        start, number = np.empty_like(lengths), np.empty_like(lengths)
        start[order] = before - before[firsts][row[order]]
        number[order] = np.arange(len(order)) - firsts[row[order]]
        self.shape = (rows, capacity)
        self._lengths = lengths
        self._number = number
        self._position = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        self._target = np.repeat(row * capacity + start, lengths) + self._position

    def _put(self, values: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        out = np.full(self.shape, fill, values.dtype)
        out.reshape(-1)[self._target] = values
        return out

    def tokens(self, values: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        """Move a padded field [examples, width] into the rows."""
        return self._put(values[np.arange(values.shape[1]) < self._lengths[:, None]], fill)

    def each(self, values: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        """Repeat one value per example, [examples], on all its tokens."""
        return self._put(np.repeat(values, self._lengths), fill)

    def segments(self) -> Ints:
        """Number of the example in its row from 1 on, 0 for padding."""
        return self.each(self._number + 1, 0)

    def positions(self) -> Ints:
        """Positions that restart at 0 in each example."""
        return self._put(self._position, 0)
