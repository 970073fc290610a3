"""Typed tables in the form of SQUALL, and their SQLite databases."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NONE = "none"
_LIST = re.compile(r"LIST (\w+)")
_TYPES = ("TEXT", "INTEGER", "REAL")


@dataclass(frozen=True)
class TypedTable:
    """header, rows, types: without id and agg; a missing cell is "none".

    alias: names of all columns of the database. columns: (name, type, data) of each.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    types: tuple[str, ...]
    alias: tuple[str, ...]
    columns: tuple[tuple[str, str, tuple[Any, ...]], ...]

    def is_number(self, column: int) -> bool:
        """Whether a column, counted from 0, is of the class of numbers."""
        return "num" in self.types[column] or "time" in self.types[column]

    def database(self) -> sqlite3.Connection:
        """Return the table `w` and a table `t_<column>` for each list column, in memory."""
        found = sqlite3.connect(":memory:")
        plain = [column for column in self.columns if not _LIST.match(column[1])]
        parts = ["id INTEGER PRIMARY KEY", *(f'"{name}" {_declared(kind)}' for name, kind, _ in plain if name != "id")]
        found.execute(f"CREATE TABLE w ({', '.join(parts)})")
        rows = list(zip(*(data for _, _, data in sorted(plain, key=lambda c: c[0] != "id")), strict=True))
        found.executemany(f"INSERT INTO w VALUES ({', '.join('?' * len(plain))})", rows)
        ids = next(data for name, _, data in plain if name == "id")
        for name, kind, data in self.columns:
            inner = _LIST.match(kind)
            if inner:
                found.execute(f'CREATE TABLE "t_{name}" (m_id INTEGER, "{name}" {_declared(inner[1])})')
                pairs = [(i, item) for i, items in zip(ids, data, strict=True) for item in items or ()]
                found.executemany(f'INSERT INTO "t_{name}" VALUES (?, ?)', pairs)
        return found


def _declared(kind: str) -> str:
    if kind == "EMPTY":  # a column without any value
        return "TEXT"
    if kind not in _TYPES:
        raise ValueError(f"{kind!r} is no type of a column")
    return kind


def typed_table(record: Mapping[str, Any]) -> TypedTable:
    """Return the table of {"headers", "types", "contents"}, whose first two columns are id and agg."""
    groups: Sequence[Sequence[Mapping[str, Any]]] = record["contents"]
    first = [[_text(value) for value in group[0]["data"]] for group in groups[2:]]
    columns = tuple((str(c["col"]), str(c["type"]), tuple(c["data"])) for group in groups for c in group)
    return TypedTable(
        tuple(" ".join(str(name).split("\n")) for name in record["headers"][2:]),
        tuple(zip(*first, strict=True)),
        tuple(map(str, record["types"][2:])),
        tuple(name for name, _, _ in columns),
        columns,
    )


def _text(value: Any) -> str:
    return NONE if value is None else str(value).replace("\n", " ")
