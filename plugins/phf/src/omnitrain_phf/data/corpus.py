"""Scored documents tokenised into flat memory-mapped arrays, with the segment of each token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import Progress, numpy_generator
from omnitrain_language.background import Work
from omnitrain_phf.data.records import Record

Ints = NDArray[np.int64]
Encode = Callable[[Sequence[Sequence[str]]], list[list[int]]]
_BATCH_SEGMENTS = 8192
_ARRAYS = {
    "segment_tokens": "<i8",
    "segment_scores": "<f8",
    "segment_characters": "<i4",
    "document_segments": "<i8",
    "document_scores": "<f8",
    "document_segmented": "|u1",
    "shard_documents": "<i8",
}


@dataclass(frozen=True)
class Corpus:
    """The documents of one split. Offsets have one entry more than there are things; their last one is the total.

    tokens: ids of all segments, no special ones. segment_tokens, document_segments, shard_documents: offsets into the
    level below. segment_scores float64[segments]; segment_characters int32[segments]; document_scores: avg_score,
    float64[documents]; document_segmented: false for documents that were scored as a whole.
    """

    tokens: NDArray[Any]
    segment_tokens: Ints
    segment_scores: NDArray[np.float64]
    segment_characters: NDArray[np.int32]
    document_segments: Ints
    document_scores: NDArray[np.float64]
    document_segmented: NDArray[np.uint8]
    shard_documents: Ints

    @property
    def documents(self) -> int:
        """Number of documents."""
        return len(self.document_scores)

    def shard_end(self, document: int) -> int:
        """Return the number of the first document of the next shard."""
        return int(self.shard_documents[np.searchsorted(self.shard_documents, document, side="right")])

    def permuted(self, seed: int) -> Corpus:
        """Return the same text with the scores of all segments exchanged at random, and means computed from them."""
        scores = np.asarray(self.segment_scores)[numpy_generator(seed).permutation(len(self.segment_scores))]
        counts = np.diff(self.document_segments)
        sums = np.add.reduceat(np.append(scores, 0.0), np.asarray(self.document_segments[:-1])) if len(counts) else counts
        means = np.where(counts > 0, sums / np.maximum(counts, 1), 0.0)
        return replace(self, segment_scores=scores, document_scores=means)


def load_corpus(folder: Path) -> Corpus:
    """Map what `write_corpus` wrote."""
    dtype = json.loads((folder / "details.json").read_text("utf-8"))["dtype"]

    def mapped(name: str, kind: str) -> NDArray[Any]:
        path = folder / f"{name}.bin"
        # An empty file can't be mapped.
        return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.empty(0, kind)

    return Corpus(mapped("tokens", dtype), **{name: mapped(name, kind) for name, kind in _ARRAYS.items()})


class _Writer:
    """Appends arrays to the files of a folder and keeps the totals."""

    def __init__(self, folder: Path, dtype: str) -> None:
        self._dtypes = {"tokens": dtype, **_ARRAYS}
        self._files = {name: (folder / f"{name}.bin").open("wb") for name in self._dtypes}
        self.tokens = self.segments = self.documents = 0
        self._shard = -1
        for name in ("segment_tokens", "document_segments"):
            self.append(name, [0])

    def append(self, name: str, values: Any) -> None:
        self._files[name].write(np.asarray(values, self._dtypes[name]).tobytes())

    def batch(self, records: Sequence[Record], encode: Encode) -> None:
        """Write some records."""
        texts = [text for record in records for text in record.texts]
        rows = encode([record.texts for record in records])
        lengths = np.asarray([len(row) for row in rows], np.int64)
        self.append("tokens", np.concatenate([np.asarray(row, np.int64) for row in rows]) if rows else [])
        self.append("segment_tokens", self.tokens + np.cumsum(lengths))
        self.append("segment_scores", [score for record in records for score in record.scores])
        self.append("segment_characters", [len(text) for text in texts])
        ends = self.segments + np.cumsum([len(record.texts) for record in records])
        self.append("document_segments", ends)
        self.append("document_scores", [record.average for record in records])
        self.append("document_segmented", [record.segmented for record in records])
        for number, record in enumerate(records):
            if record.shard != self._shard:
                self.append("shard_documents", [self.documents + number])
                self._shard = record.shard
        self.tokens, self.segments = self.tokens + int(lengths.sum()), self.segments + len(texts)
        self.documents += len(records)

    def close(self) -> None:
        self.append("shard_documents", [self.documents])
        for file in self._files.values():
            file.close()


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    segments = 0
    for record in records:
        batch.append(record)
        segments += len(record.texts)
        if segments >= _BATCH_SEGMENTS:
            yield batch
            batch, segments = [], 0
    if batch:
        yield batch


def write_corpus(records: Iterable[Record], encode: Encode, vocabulary: int, folder: Path, progress: Progress) -> None:
    """Tokenise records into `folder`; memory does not grow with their number.

    encode: the segments of documents -> ids of each segment, those of all documents behind each other.
    """
    dtype = "<u2" if vocabulary <= 2**16 else "<u4"
    writer = _Writer(folder, dtype)
    for batch in _batches(records):
        writer.batch(batch, lambda texts: Work(partial(encode, texts)).result(lambda: progress.advance(0)))
        progress.advance(len(batch), tokens=writer.tokens)
    writer.close()
    (folder / "details.json").write_text(json.dumps({"dtype": dtype, "vocabulary_size": vocabulary}), "utf-8")
