"""Raw segments of each denoiser out of one tokenised stream: joined documents cut to the denoiser's length."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from omnitrain.errors import DataError
from omnitrain_language.order import permute
from omnitrain_ul2.paper.lengths import SegmentPlan

Ints = npt.NDArray[np.int64]
AHEAD = 1024


class FlatTokens(Protocol):
    """Tokens of documents in one array, in the layout of `omnitrain_language.tokens`."""

    @property
    def tokens(self) -> npt.NDArray[Any]: ...

    @property
    def offsets(self) -> Ints: ...


class Documents:
    """A token file seen without the end-of-sequence tokens between its documents (the paper joins without them)."""

    def __init__(self, file: FlatTokens) -> None:
        # A plain array over the mapped file: slices of a memmap object are ten times slower.
        self._tokens = np.asarray(file.tokens)
        self._offsets: Ints = np.asarray(file.offsets, np.int64)
        # Start of each document when no separators are counted, and the total behind the last.
        self.starts: Ints = self._offsets - np.arange(1, len(self._offsets) + 1)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def gather(self, starts: Ints, lengths: Ints) -> npt.NDArray[np.int32]:
        """Return the tokens of segments one behind the other, int32[sum of lengths].

        starts, lengths: int64[rows], counted without separators; lengths at least 1.
        """
        first = np.searchsorted(self.starts, starts, side="right") - 1
        last = np.searchsorted(self.starts, starts + lengths - 1, side="right") - 1
        begin, end = starts + first + 1, starts + lengths + last + 1
        pieces = [self._tokens[b:e] for b, e in zip(begin.tolist(), end.tolist(), strict=True)]
        flat = np.concatenate(pieces).astype(np.int32)
        crossed = last - first
        if not crossed.any():
            return flat
        rows = np.repeat(np.arange(len(starts)), crossed)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(crossed) - crossed, crossed)
        sizes = end - begin
        separators = self._offsets[first[rows] + 1 + within] - 1 - begin[rows] + (np.cumsum(sizes) - sizes)[rows]
        return np.delete(flat, separators)


class SegmentTable:
    """The segments of one denoiser in one split, found by arithmetic: memory grows with documents, not with tokens.

    join: documents joined before segments are cut; S never joins. shortest: shorter rests are left out. shard: (number,
    of how many): blocks of `join` documents are dealt out in turn, and only those of that number are used.
    """

    def __init__(
        self, documents: Documents, plan: SegmentPlan, join: int, shortest: int, shard: tuple[int, int] = (0, 1)
    ) -> None:
        group = 1 if plan.denoiser.kind == "S" else join
        edges = np.append(np.arange(0, len(documents), group), len(documents))
        own = (edges[:-1] // join) % shard[1] == shard[0]
        self._length = plan.tokens_length
        self._starts = documents.starts[edges[:-1]][own]
        self._sizes = documents.starts[edges[1:]][own] - self._starts
        rest = self._sizes % self._length
        counts = self._sizes // self._length + (rest >= min(shortest, self._length))
        self._firsts = np.concatenate([[0], np.cumsum(counts)])
        if len(self) == 0:
            raise DataError(
                f"The text is too short for denoiser {plan.denoiser.name}: none of its {len(self._starts)} groups of documents "
                f"has a segment of {min(shortest, self._length)} tokens; give more text or lower shortest_segment"
                + ("." if shard[1] == 1 else " or join_documents, or set shard_documents to false.")
            )

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def places(self, numbers: Ints) -> tuple[Ints, Ints]:
        """Return (start, length), int64[rows], of segments by number."""
        group = np.searchsorted(self._firsts, numbers, side="right") - 1
        offset = (numbers - self._firsts[group]) * self._length
        return self._starts[group] + offset, np.minimum(self._length, self._sizes[group] - offset)


class SegmentOrder:
    """An endless shuffled order of segments 0..size-1, a new permutation every epoch; a function of the position.

    Asked for ascending positions, it works ahead, since many images of a permutation cost hardly more than one.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        self._first = 0
        self._ahead: Ints = np.empty(0, np.int64)

    def __call__(self, positions: Ints) -> Ints:
        """Return the segments at ascending positions, int64[rows]."""
        low, high = int(positions[0]), int(positions[-1])
        if low < self._first or high >= self._first + len(self._ahead):
            self._first = low
            self._ahead = self._images(np.arange(low, max(high + 1, low + AHEAD)))
        return self._ahead[positions - self._first]

    def _images(self, positions: Ints) -> Ints:
        epochs, within = np.divmod(positions, self._size)
        numbers = np.empty_like(positions)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            numbers[chosen] = permute(within[chosen], self._size, self._seed, int(epoch))
        return numbers
