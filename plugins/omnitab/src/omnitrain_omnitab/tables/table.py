"""A table and a question about it."""

from __future__ import annotations

from dataclasses import dataclass

from omnitrain_omnitab.paper.linearise import Cell, Span


@dataclass(frozen=True)
class Table:
    """header: names of the columns. rows: of as many cells each. name: where it is from, as it is shown to people."""

    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    name: str = ""


@dataclass(frozen=True)
class Question:
    """A text about a table: a question with its answers, or a sentence with what it mentions of the table.

    canon: canonical forms of the answers where a data set has them. mentions: [start, end) in characters of the text, None
    where nobody has looked for them.
    operation: what has to be done to answer, where that is known ("lookup", "count", ...).
    """

    id: str
    text: str
    table: Table
    answers: tuple[str, ...] = ()
    canon: tuple[str | None, ...] | None = None
    mentions: tuple[Span, ...] | None = None
    operation: str = ""
