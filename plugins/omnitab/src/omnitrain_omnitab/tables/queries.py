"""SQL about embedded tables: a small set of templates, sampled and executed."""

from __future__ import annotations

from collections.abc import Iterator

from omnitrain_omnitab.paper.sql import Token, instantiate
from omnitrain_omnitab.paper.typed_tables import TypedTable, typed_table
from omnitrain_omnitab.tables.table import Question, Table
from omnitrain_omnitab.tables.templates import Draw

# c1 names a row, c2 holds numbers, c3 kinds that come again; {name} and {kind} are cells of the table.
_TEMPLATES = (
    "select c2 from w where c1 = {name}",
    "select c1 from w order by c2_number desc limit 1",
    "select c1 from w order by c2_number limit 1",
    "select count ( * ) from w where c3 = {kind}",
    "select max ( c2_number ) - min ( c2_number ) from w",
    "select c1 from w where id = ( select id from w where c1 = {name} ) + 1",
    "select c1 from w where c3 = {kind}",
)
_FINE = 2**20


def typed(table: Table) -> TypedTable:
    """Return a table of `embedded_tables` with the column of numbers as numbers too."""
    columns = list(zip(*table.rows, strict=True))
    count = len(table.rows)
    contents = [
        [{"col": "id", "type": "INTEGER", "data": list(range(1, count + 1))}],
        [{"col": "agg", "type": "INTEGER", "data": [0] * count}],
        [{"col": "c1", "type": "TEXT", "data": list(columns[0])}],
        [
            {"col": "c2", "type": "TEXT", "data": list(columns[1])},
            {"col": "c2_number", "type": "REAL", "data": [float(str(cell)) for cell in columns[1]]},
        ],
        [{"col": "c3", "type": "TEXT", "data": list(columns[2])}],
    ]
    return typed_table(
        {"headers": ["id", "agg", *table.header], "types": ["id", "agg", "text", "number", "text"], "contents": contents}
    )


def queries(table: Table, number: int, draw: Draw) -> Iterator[Question]:
    """Yield up to `number` queries about a table with the answers that SQLite gives; those without an answer are left out."""
    own = typed(table)
    for i in range(number):
        name, _, kind = table.rows[draw(len(table.rows))]
        template = _tokens(_TEMPLATES[i % len(_TEMPLATES)], name=f"'{name}'", kind=f"'{kind}'")
        found = instantiate(template, own, own, lambda: draw(_FINE) / _FINE)
        if found.answers:
            yield Question(f"{table.name}/query {i}", found.shown, table, found.answers)


def _tokens(text: str, **cells: str) -> list[Token]:
    found: list[Token] = []
    for word in text.split():
        if word.startswith("{"):
            found.append(["Literal.String", cells[word.strip("{}")], []])
        else:
            kind = "Column" if word[0] == "c" and word[1:2].isdigit() else "Literal.Number" if word.isdigit() else "Keyword"
            found.append([kind, word, []])
    return found
