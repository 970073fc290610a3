"""Printing results: JSON for scripts, a table in a terminal, aligned text elsewhere."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from omnitrain.api.terminal import one_line, visible, visible_json

_MARKS = {"nan": "nan", "inf": "inf", "-inf": "-inf"}


def emit_json(value: Any) -> None:
    """Print plain values as JSON; numbers that are not finite are written as the strings "nan", "inf", "-inf"."""
    print(visible_json(json.dumps(readable(value), indent=2, ensure_ascii=False, default=str, allow_nan=False)))


def readable(value: Any) -> Any:
    """Return plain values with numbers that JSON can't hold turned into strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return _MARKS[str(value)]
    if isinstance(value, dict):
        return {str(k): readable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [readable(v) for v in value]
    return value


def note(text: str) -> None:
    """Print a remark to standard error."""
    print(visible(text), file=sys.stderr, flush=True)


def say(text: str = "") -> None:
    """Print text to standard output; every command prints through here, so that no text of others steers a terminal."""
    print(visible(text))


def number(value: Any) -> str:
    """Write a number with four significant digits, anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "" if value is None else str(value)
    if isinstance(value, int):
        return str(value)
    return f"{value:.4g}"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Print rows under columns; numbers stand right-aligned."""
    right = [bool(rows) and all(_numeric(row[i]) for row in rows) for i in range(len(columns))]
    columns, title = [one_line(column) for column in columns], one_line(title)
    texts = [[one_line(number(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich(columns, texts, right, title)
    else:
        _plain(columns, texts, right, title)


def _numeric(cell: Any) -> bool:
    return cell is None or (isinstance(cell, (int, float)) and not isinstance(cell, bool))


def _plain(columns: Sequence[str], texts: list[list[str]], right: list[bool], title: str) -> None:
    if title:
        print(title)
    widths = [max(len(c), *(len(row[i]) for row in texts)) if texts else len(c) for i, c in enumerate(columns)]
    for line in [list(columns), *texts]:
        cells = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(line, widths, right, strict=True)]
        print("  ".join(cells).rstrip())


def _rich(columns: Sequence[str], texts: list[list[str]], right: list[bool], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for column, is_right in zip(columns, right, strict=True):
        grid.add_column(column, justify="right" if is_right else "left", overflow="fold")
    for row in texts:
        grid.add_row(*(Text(cell) for cell in row))
    Console().print(grid)
