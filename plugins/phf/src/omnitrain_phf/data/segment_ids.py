"""Segments of documents as ids that, joined, are the document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from omnitrain_language.encoding import Encoded, Encoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class SegmentEncoder:
    """Encodes documents that come in segments.

    Segment by segment, as the official code does, where the parts are the whole then (GPT-2 and all byte-level BPE). Others
    put a blank in front of whatever they are given, which would shift every line of code but the first: there a document is
    encoded as a whole, and a token belongs to the segment in which it ends.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._encode = Encoder(tokenizer)
        self._apart = self._encode.keeps_parts(tokenizer)

    def __call__(self, documents: Sequence[Sequence[str]]) -> list[list[int]]:
        """Return the ids of each segment, those of all documents behind each other."""
        if self._apart:
            return self._encode([text for texts in documents for text in texts])
        found = self._encode.with_offsets(["".join(texts) for texts in documents])
        return [ids for encoded, texts in zip(found, documents, strict=True) for ids in by_segment(encoded, texts)]


def by_segment(encoded: Encoded, segments: Sequence[str]) -> list[list[int]]:
    """Return the ids of each segment: of the tokens whose last character it holds."""
    if not segments:
        return []
    edges = np.cumsum([len(text) for text in segments])
    last = np.maximum.accumulate([max(0, end - 1) for _, end in encoded.offsets] or [0])[: len(encoded.ids)]
    starts = np.searchsorted(last, np.concatenate([[0], edges[:-1]]))
    stops = [*starts[1:], len(encoded.ids)]
    # What has no character of its own, such as the mark of a beginning, stands in the first segment.
    return [
        encoded.ids[0 if number == 0 else start : stop] for number, (start, stop) in enumerate(zip(starts, stops, strict=True))
    ]
