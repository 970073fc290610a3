"""A table as one line of text (TAPEX, section 2; OmniTab keeps it), with the place of every header and cell in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float | None
Span = tuple[int, int]


@dataclass(frozen=True)
class Linearised:
    """text: of a table. header, rows: where each name and cell stands in it, [start, end) in characters."""

    text: str
    header: list[Span]
    rows: list[list[Span]]

    @property
    def elements(self) -> list[Span]:
        """The spans of all names, then of all cells row by row."""
        return [*self.header, *(span for row in self.rows for span in row)]


def header_text(header: Sequence[Cell]) -> str:
    """Return "col : a | b"."""
    return "col : " + " | ".join(map(str, header))


def row_text(row: Sequence[Cell], number: int) -> str:
    """Return "row 1 : x | y"; rows are numbered from 1."""
    return f"row {number} : " + " | ".join(map(str, row))


def linearise(header: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> Linearised:
    """Return "col : a | b row 1 : x | y row 2 : ..." with spans.

    Every cell is written by `str`. Without a header there is no "col :"; a header without rows ends in one blank.
    """
    parts: list[str] = []
    length = 0

    def put(begin: str, cells: Sequence[Cell], end: str) -> list[Span]:
        nonlocal length
        spans, texts, at = [], [str(cell) for cell in cells], length + len(begin)
        for text in texts:
            spans.append((at, at + len(text)))
            at += len(text) + 3
        line = begin + " | ".join(texts) + end
        parts.append(line)
        length += len(line)
        return spans

    names = put("col : ", header, " ") if header else []
    last = len(rows)
    cells = [put(f"row {i} : ", row, " " if i < last else "") for i, row in enumerate(rows, 1)]
    return Linearised("".join(parts), names, cells)


def tapex_text(header: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> str:
    """Return the text as TAPEX writes it: without blanks at its ends, and with "col : " for an empty header.

    Raises TypeError for cells that are neither text nor whole numbers, as TAPEX does.
    """
    for cell in (*header, *(cell for row in rows for cell in row)):
        if not isinstance(cell, (str, int)):
            raise TypeError(f"a cell of a TAPEX table is text or a whole number; found {cell!r}")
    parts = [header_text(header), *(row_text(row, i) for i, row in enumerate(rows, 1))]
    return " ".join(parts).strip()


def joined(question: str, table: str) -> str:
    """Return "question table", or the one that is not empty."""
    return f"{question} {table}" if question and table else question or table
