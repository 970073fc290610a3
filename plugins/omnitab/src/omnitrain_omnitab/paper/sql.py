"""SQL sampled on tables from templates (section 3.3; TAPEX's generator), each executed by SQLite."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from omnitrain_omnitab.paper.typed_tables import NONE, TypedTable

TRIES, MOST_ANSWERS, LARGEST_NUMBER = 10, 10, 2020
_COLUMN = re.compile(r"c(\d+)(?:_(\w+))?$")
_WITHOUT = ("list", "address")

Token = Sequence[Any]
"""[type, value, span]; types are Keyword, Column, Literal.Number, Literal.String."""


@dataclass(frozen=True)
class Sampled:
    """shown: the query with names of columns. executed: as SQLite had it. Without answers the template did not fit."""

    shown: str = ""
    answers: tuple[str, ...] = ()
    executed: str = ""


def instantiate(template: Sequence[Token], source: TypedTable, target: TypedTable, uniform: Callable[[], float]) -> Sampled:
    """Return a template of a source table on a target table. uniform: draws in [0, 1)."""
    bases = list(dict.fromkeys(int(m[1]) for kind, value, _ in template if kind == "Column" and (m := _COLUMN.match(value))))
    database = target.database()
    last = ""
    for _ in range(TRIES):
        mapped: dict[int, int] = {}
        for base in bases:
            wanted = source.is_number(base - 1)
            fitting = [i for i in range(len(target.header)) if target.is_number(i) == wanted]
            if not fitting:
                return Sampled()
            mapped[base] = 1 + fitting[int(uniform() * len(fitting))]
        run, shown = [], []
        for kind, value, _ in template:
            executed, written = _token(kind, value, source, target, mapped, uniform)
            run.append(executed)
            shown.append(written)
        uniform()
        last = " ".join(run)
        answers = execute(database, last)
        if answers:
            return Sampled(" ".join(shown).replace(" from w", ""), answers, last)
    return Sampled("", (), last)


def _token(
    kind: str, value: str, source: TypedTable, target: TypedTable, mapped: dict[int, int], uniform: Callable[[], float]
) -> tuple[str, str]:
    if kind == "Column" and (found := _COLUMN.match(value)):
        base, suffix = int(found[1]), found[2]
        number = mapped[base]
        name = f"c{number}"
        if suffix and suffix not in _WITHOUT:
            if f"{name}_{suffix}" in target.alias:
                name = f"{name}_{suffix}"
            elif source.is_number(base - 1):
                name = f"{name}_number"
        return name, target.header[number - 1]
    if kind.startswith("Literal"):
        literal = _literal(kind, value, source, target, mapped, uniform)
        return literal, literal
    return value, value


def _literal(
    kind: str, value: str, source: TypedTable, target: TypedTable, mapped: dict[int, int], uniform: Callable[[], float]
) -> str:
    bare = value.strip("'\"")
    holders = [i for i in range(len(source.header)) if any(row[i] == bare for row in source.rows)]
    own = sorted(i + 1 for i in holders if i + 1 in mapped)
    if own:
        column = own[int(uniform() * len(own))]
        cell = target.rows[int(uniform() * len(target.rows))][mapped[column] - 1]
    elif holders:
        return value
    elif kind == "Literal.Number":
        return str(int(uniform() * (LARGEST_NUMBER + 1)))
    else:
        cells = [cell for row in target.rows for cell in row if cell != NONE]
        cell = cells[int(uniform() * len(cells))]
    try:
        return str(int(cell))
    except ValueError:
        return "'" + cell + "'"


def execute(database: sqlite3.Connection, sql: str) -> tuple[str, ...]:
    """Return the values of a query that has one to ten and none of them missing, else nothing."""
    try:
        rows = database.execute(sql).fetchmany(MOST_ANSWERS + 1)
    except sqlite3.Error:
        return ()
    values = [row[0] for row in rows]
    texts = tuple(str(v).replace("\n", " ").lower() for v in values)
    if not 1 <= len(values) <= MOST_ANSWERS or any(v is None for v in values) or NONE in texts:
        return ()
    return texts
