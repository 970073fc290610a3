"""Raw segments of each denoiser out of one tokenised stream: joined documents cut to the denoiser's length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omnitrain.errors import DataError
from omnitrain_language.order import permute
from omnitrain_language.tokens import TokenFile
from omnitrain_ul2.lengths import SegmentPlan

Ints = npt.NDArray[np.int64]


class Documents:
    """A token file seen without the end-of-sequence tokens between its documents (the paper joins without them)."""

    def __init__(self, file: TokenFile) -> None:
        self.tokens = file.tokens
        # Start of each document when no separators are counted, and the total behind the last.
        self.starts: Ints = np.asarray(file.offsets, np.int64) - np.arange(1, len(file.offsets) + 1)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def gather(self, starts: Ints, lengths: Ints) -> npt.NDArray[np.int32]:
        """Return the tokens of segments as int32[rows, longest]; what lies behind a row's length is arbitrary.

        starts, lengths: int64[rows], counted without separators.
        """
        width = int(lengths.max())
        first = np.searchsorted(self.starts, starts, side="right") - 1
        last = np.searchsorted(self.starts, starts + lengths - 1, side="right") - 1
        place = starts[:, None] + np.arange(width)
        crossed = last - first
        if crossed.any():
            rows = np.repeat(np.arange(len(starts)), crossed)
            within = np.arange(len(rows)) - np.repeat(np.cumsum(crossed) - crossed, crossed)
            borders = self.starts[first[rows] + 1 + within] - starts[rows]
            steps = np.zeros((len(starts), width), np.int64)
            np.add.at(steps, (rows, borders), 1)
            place += np.cumsum(steps, axis=1)
        place += first[:, None] + 1
        np.minimum(place, len(self.tokens) - 1, out=place)
        found: npt.NDArray[np.int32] = self.tokens[place].astype(np.int32)
        return found


class SegmentTable:
    """The segments of one denoiser in one split, found by arithmetic: memory grows with documents, not with tokens."""

    def __init__(self, documents: Documents, plan: SegmentPlan, join: int, shortest: int) -> None:
        join = 1 if plan.denoiser.kind == "S" else join
        edges = np.append(np.arange(0, len(documents), join), len(documents))
        self._documents = documents
        self._length = plan.tokens_length
        self._starts = documents.starts[edges[:-1]]
        sizes = documents.starts[edges[1:]] - self._starts
        rest = sizes % self._length
        self._sizes = sizes
        counts = sizes // self._length + (rest >= min(shortest, self._length))
        self._firsts = np.concatenate([[0], np.cumsum(counts)])
        if len(self) == 0:
            raise DataError(
                f"The text is too short for denoiser {plan.denoiser.name}: none of its {len(edges) - 1} groups of documents "
                f"has a segment of {min(shortest, self._length)} tokens; give more text or lower shortest_segment."
            )

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def places(self, numbers: Ints) -> tuple[Ints, Ints]:
        """Return (start, length), int64[rows], of segments by number."""
        group = np.searchsorted(self._firsts, numbers, side="right") - 1
        offset = (numbers - self._firsts[group]) * self._length
        return self._starts[group] + offset, np.minimum(self._length, self._sizes[group] - offset)

    def shuffled(self, positions: Ints, seed: int) -> Ints:
        """Return the numbers of segments at positions of an endless shuffled order: a new permutation every epoch."""
        epochs, within = np.divmod(positions, len(self))
        numbers = np.empty_like(positions)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            numbers[chosen] = permute(within[chosen], len(self), seed, int(epoch))
        return numbers
