"""Questions and sentences about embedded tables, by templates: what is asked for is certain."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from omnitrain_omnitab.tables.table import Question, Table

OPERATIONS = ("lookup", "count", "superlative", "difference")
Draw = Callable[[int], int]


def questions(table: Table, number: int, draw: Draw) -> Iterator[Question]:
    """Yield `number` questions about a table of `embedded_tables`, the operations in turn.

    draw: an index below a number. What has no certain answer (two highest rows) is asked otherwise: by a lookup.
    """
    for i in range(number):
        operation = OPERATIONS[i % len(OPERATIONS)]
        text, answer = _ASK[operation](table, draw) or ("", "")
        if not text:
            operation = "lookup"
            text, answer = _lookup(table, draw)
        yield Question(f"{table.name}/{i}", text, table, (answer,), operation=operation)


def _lookup(table: Table, draw: Draw) -> tuple[str, str]:
    row = table.rows[draw(len(table.rows))]
    column = 1 + draw(len(table.header) - 1)
    return f"what is the {_name(table, column)} of {row[0]}?", str(row[column])


def _count(table: Table, draw: Draw) -> tuple[str, str]:
    kind = table.rows[draw(len(table.rows))][2]
    return f"how many rows have the {_name(table, 2)} {kind}?", str(sum(row[2] == kind for row in table.rows))


def _superlative(table: Table, draw: Draw) -> tuple[str, str] | None:
    highest = draw(2) == 0
    numbers = [int(str(row[1])) for row in table.rows]
    best = max(numbers) if highest else min(numbers)
    if numbers.count(best) > 1:
        return None
    word = "highest" if highest else "lowest"
    return f"which {_name(table, 0)} has the {word} {_name(table, 1)}?", str(table.rows[numbers.index(best)][0])


def _difference(table: Table, draw: Draw) -> tuple[str, str] | None:
    if len(table.rows) < 2:
        return None
    first = draw(len(table.rows))
    second = (first + 1 + draw(len(table.rows) - 1)) % len(table.rows)
    a, b = table.rows[first], table.rows[second]
    text = f"what is the difference of the {_name(table, 1)} between {a[0]} and {b[0]}?"
    return text, str(abs(int(str(a[1])) - int(str(b[1]))))


_ASK: dict[str, Callable[[Table, Draw], tuple[str, str] | None]] = {
    "lookup": _lookup,
    "count": _count,
    "superlative": _superlative,
    "difference": _difference,
}


def sentences(table: Table, number: int, draw: Draw) -> Iterator[Question]:
    """Yield `number` sentences that state a cell of a table, with the places of the row's name and of the cell."""
    for i in range(number):
        row = table.rows[draw(len(table.rows))]
        column = 1 + draw(len(table.header) - 1)
        begin = f"The {_name(table, column)} of "
        middle = f"{begin}{row[0]} is "
        text = f"{middle}{row[column]}."
        mentions = ((len(begin), len(begin) + len(str(row[0]))), (len(middle), len(text) - 1))
        yield Question(f"{table.name}/sentence {i}", text, table, mentions=mentions)


def _name(table: Table, column: int) -> str:
    return str(table.header[column]).lower()
