"""Cut documents into segments that, joined, are the document again."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from omnitrain.errors import EnvironmentFault

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def split_lines(text: str) -> list[str]:
    """Return the lines with their ends; \\r\\n is one end, and only \\r and \\n end lines."""
    return _LINE.findall(text)


@cache
def _sentencizer() -> Any:
    try:
        import spacy
    except ImportError as error:
        raise EnvironmentFault("segments: sentences needs spaCy: pip install spacy") from error
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = 2**31
    return pipeline


def split_sentences(text: str) -> list[str]:
    """Return the sentences of spaCy's rule-based splitter, each with the one blank behind it.

    Further blanks and newlines begin the next segment.
    """
    return [sentence.text_with_ws for sentence in _sentencizer()(text).sents]


def split_document(text: str) -> list[str]:
    """Return the document as one segment, none where it is empty."""
    return [text] if text else []


SPLITTERS: dict[str, Callable[[str], list[str]]] = {
    "sentences": split_sentences,
    "lines": split_lines,
    "document": split_document,
}
