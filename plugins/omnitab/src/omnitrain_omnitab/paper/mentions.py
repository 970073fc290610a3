"""What a sentence mentions of a table, by string match (section 3.1; the official `get_mention_locations`)."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from omnitrain_omnitab.paper.linearise import Cell, Span

LONG_CELL, ALIKE, LONG_MATCH = 5, 0.7, 20
"""Characters of a cell of which a part is enough; that part; characters of a match that is enough for any cell."""
LONG_HIGHLIGHTED = 10
_AUTOJUNK = 200  # from this length on difflib leaves out the characters of a cell that come often

_WORDS = """
    i me my myself we our ours ourselves you you're you've you'll you'd your yours yourself yourselves he him his
    himself she she's her hers herself it it's its itself they them their theirs themselves what which who whom this
    that that'll these those am is are was were be been being have has had having do does did doing a an the and but if
    or because as until while of at by for with about against between into through during before after above below to
    from up down in out on off over under again further then once here there when where why how all any both each few
    more most other some such no nor not only own same so than too very s t can will just don don't should should've now
    d ll m o re ve y ain aren aren't couldn couldn't didn didn't doesn doesn't hadn hadn't hasn hasn't haven haven't isn
    isn't ma mightn mightn't mustn mustn't needn needn't shan shan't shouldn shouldn't wasn wasn't weren weren't won
    won't wouldn wouldn't
"""
STOP_WORDS = frozenset(_WORDS.split())
"""English words that are no mention."""


@dataclass(frozen=True)
class Mentions:
    """spans: [start, end) in characters of the lower-cased sentence. cells: for each, the (row, column) it may be of."""

    spans: list[Span]
    cells: list[list[tuple[int, int]]]


def find_mentions(
    sentence: str,
    rows: Sequence[Sequence[Cell]],
    highlighted: Collection[tuple[int, int]] | None = None,
    stop_words: Collection[str] = STOP_WORDS,
) -> Mentions:
    """Return what a sentence mentions of some rows.

    Of every cell the longest part that the sentence holds counts, if it is the whole cell as a word, most of a long cell, or
    long. highlighted: only these (row, column), which people marked, and by a looser rule.
    """
    text = sentence.lower()
    known: dict[str, Span | None] = {}
    found: dict[Span, set[tuple[int, int]]] = {}
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            if highlighted is not None and (number, column) not in highlighted:
                continue
            value = str(cell).lower()
            if value not in known:
                known[value] = _mention(text, value, highlighted is not None, stop_words)
            span = known[value]
            if span is not None:
                found.setdefault(span, set()).add((number, column))
    spans = sorted(found)
    return Mentions(spans, [sorted(found[span]) for span in spans])


def _mention(text: str, value: str, marked: bool, stop_words: Collection[str]) -> Span | None:
    """Return where a text mentions a value, both in lower case."""
    part = _common(text, value, marked)
    if not part or part in stop_words or not any(c.isalnum() for c in part):
        return None
    if marked:
        fits = part == value or (len(value) >= LONG_CELL and _is_word(part, value)) or len(part) > LONG_HIGHLIGHTED
    else:
        whole = len(part) == len(value) and _is_word(part, text)
        most = len(value) >= LONG_CELL and len(part) / len(value) >= ALIKE and _is_word(part, value) and _is_word(part, text)
        fits = whole or most or len(part) >= LONG_MATCH
    start = text.find(part)
    return (start, start + len(part)) if fits else None


def _common(text: str, value: str, marked: bool) -> str:
    """Return the longest common part as difflib finds it; empty where it is shorter than any rule asks for."""
    if not value:
        return ""
    if len(value) < _AUTOJUNK and value in text:
        return value.strip()
    if not marked and not _may_fit(text, value):
        return ""
    match = SequenceMatcher(None, text, value).find_longest_match()
    return text[match.a : match.a + match.size].strip()


def _may_fit(text: str, value: str) -> bool:
    """Whether text and value have a part in common that is long enough for a rule; difflib's is never longer than it."""
    needed = LONG_MATCH if len(value) < LONG_CELL else min(LONG_MATCH, math.ceil(ALIKE * len(value) - 1e-9))
    return any(value[i : i + needed] in text for i in range(len(value) - needed + 1))


def _is_word(part: str, text: str) -> bool:
    """Whether the first occurrence of a part in a text has no letter or digit beside it."""
    start = text.find(part)
    end = start + len(part)
    before, behind = text[start - 1 : start] if start > 0 else "", text[end : end + 1]
    return start >= 0 and not before.isalnum() and not behind.isalnum()
