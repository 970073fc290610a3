"""Training of a byte-level BPE: in time that grows with the text alone, with progress, and stopped on request."""

from __future__ import annotations

import queue
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from omnitrain.api import Progress
from omnitrain_language.background import Work

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# A word's merges cost the square of its length: the longest English words have about 40 letters, sequences of genes millions.
LONGEST_RUN = 256
_BLANKS = re.compile(rf"\s{{{LONGEST_RUN + 1}}}")
_LONG = re.compile(rf"\S{{{LONGEST_RUN + 1},}}|\s{{{LONGEST_RUN + 1},}}")
_CHUNK_CHARACTERS = 1_000_000


def bounded(text: str) -> Iterator[str]:
    """Yield a text, cut where a run without blanks, or of blanks alone, is longer than `LONGEST_RUN` characters."""
    if max(map(len, text.split()), default=0) <= LONGEST_RUN and _BLANKS.search(text) is None:
        yield text
        return
    place = 0
    for run in _LONG.finditer(text):
        if run.start() > place:
            yield text[place : run.start()]
        yield from (text[start : min(start + LONGEST_RUN, run.end())] for start in range(*run.span(), LONGEST_RUN))
        place = run.end()
    if place < len(text):
        yield text[place:]


class _Abandoned(Exception):
    """Ends a training whose texts will not come."""


def train(tokenizer: Tokenizer, trainer: Any, texts: Iterable[str], progress: Progress) -> None:
    """Train a tokenizer on texts. Progress counts characters, and what its `advance` raises ends the training."""
    chunks: queue.Queue[list[str] | None] = queue.Queue(maxsize=2)
    abandoned = False

    def taken() -> Iterator[list[str]]:
        while (chunk := chunks.get()) is not None:
            yield chunk
        if abandoned:
            raise _Abandoned

    def put(chunk: list[str] | None) -> None:
        while work.running:
            try:
                chunks.put(chunk, timeout=0.2)
            except queue.Full:
                progress.advance(0)
            else:
                return

    work = Work(lambda: tokenizer.train_from_iterator(taken(), trainer))
    try:
        for chunk in _chunks(texts):
            put(chunk)
            progress.advance(sum(map(len, chunk)))
    except BaseException:
        abandoned = True
        while not chunks.empty():
            chunks.get_nowait()
        chunks.put(None)
        raise
    put(None)
    work.result(lambda: progress.advance(0))


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for text in texts:
        for part in bounded(text):
            chunk.append(part)
            size += len(part)
            if size >= _CHUNK_CHARACTERS:
                yield chunk
                chunk, size = [], 0
    if chunk:
        yield chunk
