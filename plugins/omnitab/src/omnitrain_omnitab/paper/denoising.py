"""The two denoising tasks on a sentence and its table, and question answering (section 3; released `PretrainProcessor`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from omnitrain_language.encoding import Encoded
from omnitrain_omnitab.paper.cutting import CELL_TOKENS, Row, Tokens, cut_cell, cut_cells, fitting_rows
from omnitrain_omnitab.paper.linearise import Cell, Span, header_text, joined, linearise
from omnitrain_omnitab.paper.masking import clean_spans, mask_tokens, masked_spans, token_ranges

TABLE_SHARE, CONTEXT_SHARE, MOST_MASKED = 0.2, 0.15, 200
"""Shares of names and cells and of context tokens that are masked at random; most tokens that both are to have."""
RESERVED = 5  # tokens that the official code leaves free beside context and table


class TextTokens(Tokens, Protocol):
    """A tokenizer with places and special ids."""

    @property
    def mask_id(self) -> int:
        """The id of the mask."""

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text without special ones."""

    def encoded(self, text: str) -> Encoded:
        """Return ids and places of a text."""

    def whole(self, ids: Sequence[int], length: int | None = None) -> list[int]:
        """Return ids between what begins and ends a text."""


class TableTooWide(ValueError):
    """The names of the columns alone fill what is left for a table. tokens, room: of them, and for them."""

    def __init__(self, tokens: int, room: int) -> None:
        super().__init__(f"the header has {tokens} tokens and there is room for {room}")
        self.tokens, self.room = tokens, room


@dataclass(frozen=True)
class Fitted:
    """A context and a table that fit an input together. dropped: rows and characters that did not."""

    context: str
    header: list[Cell]
    rows: list[list[Cell]]
    answers: list[str]
    dropped_rows: int = 0
    dropped_characters: int = 0


@dataclass(frozen=True)
class Draws:
    """Where chance comes from. choose(n, k): k different numbers below n. uniform: in [0, 1). random_id: an id of text."""

    choose: Callable[[int, int], Sequence[int]]
    uniform: Callable[[], float]
    random_id: Callable[[], int]


@dataclass(frozen=True)
class Example:
    """input_ids: of the encoder. target_ids: the unmasked sequence, which the decoder reads. in_loss: for each of its ids."""

    input_ids: list[int]
    target_ids: list[int]
    in_loss: list[bool]


def with_blank(text: str) -> str:
    """Return a text with a blank in front."""
    return text if text[:1] == " " else " " + text


def fit(
    context: str,
    header: Sequence[Cell],
    rows: Sequence[Row],
    answers: Sequence[str],
    tokens: TextTokens,
    *,
    length: int,
    context_length: int,
    cell_length: int = CELL_TOKENS,
) -> Fitted:
    """Return what of a context and a table fits: the context's first tokens, cells and names cut, rows from the first on.

    length, context_length: in tokens. Raises TableTooWide.
    """
    names = [cut_cell(name, tokens, cell_length) for name in header]
    cut, kept_answers = cut_cells(rows, answers, tokens, cell_length)
    found = tokens.encoded(context)
    kept = context if len(found.ids) <= context_length else context[: found.offsets[context_length - 1][1]]
    room = length - RESERVED - min(len(found.ids), context_length)
    # Header and rows are counted as they are written, each alone.
    wide = tokens.count(header_text(names)) if names else 0
    if wide > room:
        raise TableTooWide(wide, room)
    number = fitting_rows(cut, room - wide, tokens)
    return Fitted(kept, names, cut[:number], kept_answers, len(cut) - number, len(context) - len(kept))


def random_masking(
    fitted: Fitted,
    tokens: TextTokens,
    draws: Draws,
    *,
    table_share: float = TABLE_SHARE,
    context_share: float = CONTEXT_SHARE,
    most: int = MOST_MASKED,
) -> Example:
    """Mask names, cells and context tokens at random, token by token: 80 % masks, 10 % unchanged, 10 % random ids.

    Names and cells come first; context tokens have what they leave of `most` tokens.
    """
    elements = [*fitted.header, *(cell for row in fitted.rows for cell in row)]
    chosen: Sequence[int] = []
    if elements:
        chosen = draws.choose(len(elements), max(1, math.ceil(table_share * len(elements))))
    left = most - tokens.count(" ".join(str(elements[i]) for i in chosen))
    found = tokens.encoded(fitted.context)
    places: Sequence[int] = []
    if left > 0 and found.ids:
        places = draws.choose(len(found.ids), min(left, math.ceil(context_share * len(found.ids))))
    spans = _neighbours_joined(found.offsets, sorted(places))
    text, masked = masked_spans(fitted.context, fitted.header, fitted.rows, spans, chosen)
    return _masked(text, masked, tokens, draws, salient=False)


def salient_masking(fitted: Fitted, mentions: Sequence[Span], tokens: TextTokens) -> Example:
    """Mask every mention by one mask; the table stays. mentions: [start, end) in characters of the context."""
    within = [span for span in mentions if span[1] <= len(fitted.context)]
    text, masked = masked_spans(fitted.context, fitted.header, fitted.rows, within, [])
    return _masked(text, masked, tokens, None, salient=True)


def answering(fitted: Fitted, tokens: TextTokens, length: int | None = None) -> Example:
    """Return a question with its table and, as the target, its answers; all of the target is in the loss.

    length: of the longest target in tokens.
    """
    text = joined(fitted.context, linearise(fitted.header, fitted.rows).text)
    target = tokens.whole(tokens.encoded(answer_text(fitted.answers)).ids, length)
    return Example(tokens.whole(tokens.encoded(text).ids), target, [True] * len(target))


def answer_text(answers: Sequence[str]) -> str:
    """Return answers as a model writes them: joined by ", ", with a blank in front."""
    return with_blank(", ".join(answers))


def _neighbours_joined(offsets: Sequence[Span], places: Sequence[int]) -> list[Span]:
    """Return the spans of tokens in characters, those of consecutive tokens as one."""
    spans: list[Span] = []
    before = -2
    for place in places:
        start, end = offsets[place]
        if place == before + 1:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
        before = place
    return spans


def _masked(text: str, spans: Sequence[Span], tokens: TextTokens, draws: Draws | None, *, salient: bool) -> Example:
    found = tokens.encoded(text)
    ranges = [r for r in token_ranges(found.offsets, clean_spans(spans)) if r is not None]
    new, masked = mask_tokens(
        found.ids,
        ranges,
        tokens.mask_id,
        granularity="span" if salient else "token",
        strategy="mask" if salient else "bert",
        merge=not salient,
        uniform=draws.uniform if draws else float,
        random_id=draws.random_id if draws else int,
    )
    target = tokens.whole(found.ids)
    before = len(target) - len(found.ids) - 1
    return Example(tokens.whole(new), target, [*[False] * before, *masked, False])
