"""From scored documents to blocks: control tokens per segment, filtering by document, buffers of whole documents.

The order of things is that of the official code (constant-length data set): documents are collected until their
characters fill a buffer, the buffer is tokenised segment by segment and cut into blocks of equal length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from omnitrain_phf.data.corpus import Corpus, Ints

Floats = NDArray[np.float32]
CHARACTERS_PER_TOKEN = 3.6
SEQUENCES_PER_BUFFER = 1024


class Draws(Protocol):
    """Uniform numbers in [0, 1) by position."""

    def at(self, start: int, count: int) -> NDArray[np.float64]:
        """Return the numbers start .. start + count - 1."""


@dataclass(frozen=True)
class SeededDraws:
    """The stream of one seed, entered at any position at once."""

    seed: int

    def at(self, start: int, count: int) -> NDArray[np.float64]:
        """Return some numbers of the stream."""
        return np.random.Generator(np.random.PCG64(self.seed).advance(start)).random(count)


@dataclass(frozen=True)
class Control:
    """Control tokens. ids and characters: (aligned, misaligned). A segment gets one iff its draw > dropped."""

    threshold: float
    dropped: float
    ids: tuple[int, int]
    characters: tuple[int, int]
    unsegmented: bool = True


@dataclass(frozen=True)
class BlockLayout:
    """How documents become blocks. length: tokens of a block. eos_characters: of its text, which counts for buffers.

    skip_blocks: how many are withheld at the beginning; filter_from: number of blocks made from which documents are
    filtered. drop_tails: what is left behind the last whole block of a buffer is lost.
    """

    length: int
    eos_id: int
    eos_characters: int
    buffer_characters: int
    control: Control | None = None
    filter_threshold: float | None = None
    skip_blocks: int = 0
    filter_from: int = 0
    drop_tails: bool = False


def skipped(tokens: int, length: int, official: bool) -> tuple[int, int]:
    """Return (blocks to withhold, blocks after which filtering begins) for tokens that were seen already.

    The official code counts the block at hand, so it withholds one less; its filter is off while the tokens of the
    blocks made so far are fewer than those to skip.
    """
    begins = -(-tokens // length)
    return (max(0, begins - 1) if official else tokens // length), begins


@dataclass(frozen=True)
class Blocks:
    """Some blocks. ids int32[n, length]; scores float32[n, length], of the segment of each token; numbers int64[n]."""

    ids: NDArray[np.int32]
    scores: Floats
    numbers: Ints

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> Blocks:
        return Blocks(self.ids[rows], self.scores[rows], self.numbers[rows])

    def state(self) -> dict[str, Any]:
        """Return the arrays by name."""
        return {"ids": self.ids, "scores": self.scores, "numbers": self.numbers}


def no_blocks(length: int) -> Blocks:
    """Return zero blocks."""
    return Blocks(np.empty((0, length), np.int32), np.empty((0, length), np.float32), np.empty(0, np.int64))


def join_blocks(*parts: Blocks) -> Blocks:
    """Return blocks behind each other."""
    return Blocks(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("ids", "scores", "numbers")))


def ranges(starts: Ints, counts: Ints) -> Ints:
    """Return the numbers start .. start + count - 1 of all pairs, behind each other."""
    total = int(counts.sum())
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(total)


@dataclass(frozen=True)
class Segments:
    """The segments of some documents. index: numbers in the corpus; first: it begins a document; side: 0 for no control
    token, 1 aligned, 2 misaligned; draws: how many numbers were used."""

    index: Ints
    first: NDArray[np.bool_]
    side: NDArray[np.int8]
    draws: int


@dataclass
class Position:
    """Where the reading stands. document: next one; draw: next number; made: blocks so far, withheld ones too;
    included: documents so far; tail: what is left of the buffer before."""

    document: int = 0
    draw: int = 0
    made: int = 0
    included: int = 0
    tail_ids: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    tail_scores: Floats = field(default_factory=lambda: np.empty(0, np.float32))

    def state(self) -> dict[str, Any]:
        """Return plain values and arrays."""
        return dict(vars(self))


class BlockReader:
    """Makes the blocks of a corpus, buffer by buffer."""

    def __init__(self, corpus: Corpus, layout: BlockLayout, draws: Draws) -> None:
        self.corpus, self.layout, self.draws = corpus, layout, draws
        self.position = Position()
        self._reach = 64

    def load(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position."""
        self.position = Position(**dict(state))

    def restart(self) -> None:
        """Begin with the first document again; draws and counts go on."""
        at = self.position
        self.position = Position(draw=at.draw, made=at.made, included=at.included)

    def segments(self, documents: Ints, draw: int) -> Segments:
        """Return the segments of documents, with the control tokens that draws from position `draw` on give them."""
        corpus, control = self.corpus, self.layout.control
        starts = np.asarray(corpus.document_segments[documents])
        counts = np.asarray(corpus.document_segments[documents + 1]) - starts
        index = ranges(starts, counts)
        first = np.zeros(len(index), bool)
        first[(np.cumsum(counts) - counts)[counts > 0]] = True
        side = np.zeros(len(index), np.int8)
        if control is None:
            return Segments(index, first, side, 0)
        eligible = np.ones(len(index), bool)
        if not control.unsegmented:
            eligible = np.repeat(np.asarray(corpus.document_segmented[documents]) != 0, counts)
        used = int(eligible.sum())
        kept = np.zeros(len(index), bool)
        kept[eligible] = self.draws.at(draw, used) > control.dropped
        good = np.asarray(corpus.segment_scores[index]) <= control.threshold
        side[kept] = np.where(good[kept], 1, 2)
        return Segments(index, first, side, used)

    def characters(self, found: Segments) -> Ints:
        """Return the characters of each segment, EOS and control token counted as the texts they are, int64[segments]."""
        layout = self.layout
        of_side = np.array([0, *(layout.control.characters if layout.control else (0, 0))])
        text = np.asarray(self.corpus.segment_characters[found.index], np.int64)
        sizes: Ints = text + of_side[found.side] + layout.eos_characters * found.first
        return sizes

    def tokens(self, found: Segments) -> tuple[NDArray[np.int32], Floats]:
        """Return (ids, scores) of segments behind each other: EOS, control token, text."""
        corpus, layout = self.corpus, self.layout
        starts = np.asarray(corpus.segment_tokens[found.index])
        counts = np.asarray(corpus.segment_tokens[found.index + 1]) - starts
        marked = found.side > 0
        ahead = found.first.astype(np.int64) + marked
        ends = np.cumsum(ahead + counts)
        begins = ends - ahead - counts
        ids = np.empty(int(ends[-1]) if len(ends) else 0, np.int32)
        ids[ranges(begins + ahead, counts)] = corpus.tokens[ranges(starts, counts)]
        ids[begins[found.first]] = layout.eos_id
        if layout.control is not None:
            of_side = np.array([0, *layout.control.ids], np.int32)
            ids[(begins + found.first)[marked]] = of_side[found.side[marked]]
        scores = np.repeat(np.asarray(corpus.segment_scores[found.index], np.float32), ahead + counts)
        return ids, scores

    def included(self, start: int, end: int) -> Ints:
        """Return the documents start .. end - 1 without those that the filter leaves out now."""
        documents = np.arange(start, end)
        threshold = self.layout.filter_threshold
        if threshold is None or self.position.made < self.layout.filter_from:
            return documents
        return documents[~(np.asarray(self.corpus.document_scores[start:end]) > threshold)]

    def _collect(self) -> tuple[Ints, Segments, int]:
        """Return (documents, their segments, next document) of the next buffer."""
        at, end = self.position, self.corpus.shard_end(self.position.document)
        while True:
            stop = min(end, at.document + self._reach)
            documents = self.included(at.document, stop)
            found = self.segments(documents, at.draw)
            sizes = np.diff(np.append(0, np.cumsum(self.characters(found)))[self._edges(documents)])
            full = np.flatnonzero(np.cumsum(sizes) >= self.layout.buffer_characters)
            if len(full):
                documents = documents[: full[0] + 1]
                return documents, self.segments(documents, at.draw), int(documents[-1]) + 1
            if stop == end:
                return documents, found, end
            self._reach *= 4

    def _edges(self, documents: Ints) -> Ints:
        offsets = self.corpus.document_segments
        counts = np.asarray(offsets[documents + 1]) - np.asarray(offsets[documents])
        return np.append(0, np.cumsum(counts))

    def next(self) -> Blocks | None:
        """Return the blocks of the next buffer without those that are withheld, or None behind the last document."""
        at, layout = self.position, self.layout
        if at.document >= self.corpus.documents:
            return None
        documents, found, following = self._collect()
        ids, scores = self.tokens(found)
        if not layout.drop_tails:
            ids, scores = np.concatenate([at.tail_ids, ids]), np.concatenate([at.tail_scores, scores])
        count = len(ids) // layout.length
        whole = count * layout.length
        numbers = at.made + np.arange(count)
        made = Blocks(ids[:whole].reshape(count, layout.length), scores[:whole].reshape(count, layout.length), numbers)
        self.position = Position(
            following,
            at.draw + found.draws,
            at.made + count,
            at.included + len(documents),
            *(() if layout.drop_tails else (ids[whole:].copy(), scores[whole:].copy())),
        )
        return made[numbers >= layout.skip_blocks]
