"""Tables out of files: comma or tab separated, and those of WikiTableQuestions with their escapes."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omnitrain.api import reading, text_lines
from omnitrain.errors import DataError
from omnitrain_omnitab.paper.denotations import unescape
from omnitrain_omnitab.paper.linearise import Cell
from omnitrain_omnitab.tables.table import Table

SUFFIXES = (".csv", ".tsv")


def read_table(path: Path, *, escaped: bool = False, name: str = "") -> Table:
    r"""Return the table of a .csv or .tsv file whose first line names the columns.

    escaped: as in WikiTableQuestions, where a backslash stands before quotation marks (.csv), or \n, \p and \\ for line end,
    pipe and backslash (.tsv). Cells lose blanks at their ends; a line end inside one becomes a blank. Raises DataError.
    """
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: a table is a .csv or a .tsv file; save it as one")
    if not path.is_file():
        raise DataError(f"{path} is not there; expected a table")
    lines = _tabbed(path, escaped) if path.suffix == ".tsv" else _commas(path, escaped)
    header: list[str] | None = None
    rows: list[tuple[str, ...]] = []
    for line, cells in lines:
        cleaned = [" ".join(cell.strip().splitlines()) for cell in cells]
        if header is None:
            header = cleaned
        elif len(cleaned) != len(header):
            raise DataError(f"{path}:{line}: the row has {len(cleaned)} cells, the first line names {len(header)} columns")
        else:
            rows.append(tuple(cleaned))
    return checked(Table(tuple(header or ()), tuple(rows), name or str(path)), str(path))


def _tabbed(path: Path, escaped: bool) -> Iterator[tuple[int, list[str]]]:
    for number, line in text_lines(path):
        if line:
            yield number, [unescape(cell) if escaped else cell for cell in line.split("\t")]


def _commas(path: Path, escaped: bool) -> Iterator[tuple[int, list[str]]]:
    options: dict[str, Any] = {"doublequote": False, "escapechar": "\\"} if escaped else {"strict": True}
    rows = csv.reader((line + "\n" for _, line in text_lines(path)), **options)
    while True:
        with reading(f"{path}:{rows.line_num + 1}", "a row of comma separated cells"):
            cells = next(rows, None)
        if cells is None:
            return
        if cells:
            yield rows.line_num, cells


def made_table(header: Any, rows: Any, place: str) -> Table:
    """Return a table of values read from JSON. Raises DataError that names `place` for what is no table."""
    if not isinstance(header, list) or not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise DataError(f'{place}: a table is {{"header": [names], "rows": [[cells], ...]}}')
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise DataError(f"{place}: row {number} of the table has {len(row)} cells, its header {len(header)} names")
    cells: Sequence[Any] = [*header, *(cell for row in rows for cell in row)]
    odd = next((cell for cell in cells if isinstance(cell, (list, dict, bool))), None)
    if odd is not None:
        raise DataError(f"{place}: a cell is text, a number or null; found {type(odd).__name__} {odd!r}")
    found: list[tuple[Cell, ...]] = [tuple(row) for row in rows]
    return checked(Table(tuple(header), tuple(found), place), place)


def checked(table: Table, place: str) -> Table:
    """Return a table that has names and rows. Raises DataError for others: no question can be asked about them."""
    if not table.header:
        raise DataError(f"{place}: the table has no names of columns; its first line must name them")
    if not table.rows:
        raise DataError(f"{place}: the table has names of columns and no rows, so no question can be asked about it")
    return table
