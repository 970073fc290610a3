"""Spans of characters and of tokens, and how tokens are masked (section 3.2; released code, `perform_masking`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from omnitrain_omnitab.paper.linearise import Cell, Span, joined, linearise

SHARE_MASKED, SHARE_MASKED_OR_KEPT = 0.8, 0.9


def clean_spans(spans: Iterable[Span], length: int | None = None) -> list[Span]:
    """Return spans in order; empty ones, ones that begin inside the last kept one, and ones that end behind length go.

    length: of the text in characters; None or 0 for any.
    """
    kept: list[Span] = []
    for start, end in sorted((int(a), int(b)) for a, b in spans):
        inside = bool(kept) and start < kept[-1][1]
        if start < end and not inside and (not length or end <= length):
            kept.append((start, end))
    return kept


def token_ranges(tokens: Sequence[Span], spans: Sequence[Span]) -> list[Span | None]:
    """Return for each span of characters the half-open range of tokens that overlap it at all, None where none does.

    tokens, spans: in order and without overlaps among tokens; [start, end) in characters.
    """
    found: list[Span | None] = []
    at = 0
    for start, end in spans:
        while at < len(tokens) and tokens[at][1] <= start:
            at += 1
        behind = at
        while behind < len(tokens) and tokens[behind][0] < end:
            behind += 1
        found.append((at, behind) if behind > at else None)
    return found


def mask_tokens(
    ids: Sequence[int],
    ranges: Sequence[Span],
    mask_id: int,
    *,
    granularity: Literal["token", "span"],
    strategy: Literal["bert", "mask"],
    merge: bool,
    uniform: Callable[[], float],
    random_id: Callable[[], int],
) -> tuple[list[int], list[bool]]:
    """Return (ids with masks, whether each of the given ids was masked).

    ranges: half-open ranges of tokens, in order. granularity: a span becomes one token, or each of its tokens one. strategy
    "bert": 80 % the mask, 10 % unchanged (of a span, its first token), 10 % a random id, a draw for each; "mask": always the
    mask. merge: neighbouring masks become one. uniform: draws in [0, 1). random_id: draws of ids that stand for text.
    """
    new: list[int] = []
    was_masked = [False] * len(ids)

    def write(original: int) -> None:
        if strategy == "mask":
            token = mask_id
        else:
            u = uniform()
            token = mask_id if u < SHARE_MASKED else original if u < SHARE_MASKED_OR_KEPT else random_id()
        if not (merge and token == mask_id and new and new[-1] == mask_id):
            new.append(token)

    behind = 0
    for start, end in ranges:
        first = max(start, behind)
        new.extend(ids[behind:first])
        for place in range(first, end):
            was_masked[place] = True
            if granularity == "token" or place == first:
                write(ids[place])
        behind = max(behind, end)
    new.extend(ids[behind:])
    return new, was_masked


def masked_spans(
    query: str,
    header: Sequence[Cell],
    rows: Sequence[Sequence[Cell]],
    query_spans: Iterable[Span],
    elements: Iterable[int],
) -> tuple[str, list[Span]]:
    """Return (query and table as one text, the spans to mask in it).

    query_spans: in the query; what ends behind it is left out. elements: numbers of names and cells, names first, then cells
    row by row.
    """
    table = linearise(header, rows)
    shift = len(query) + 1 if query and table.text else 0
    places = table.elements
    own = [(places[i][0] + shift, places[i][1] + shift) for i in elements]
    return joined(query, table.text), clean_spans([*clean_spans(query_spans, len(query)), *own])
