"""Printing results: JSON for scripts, a table in a terminal, aligned text elsewhere."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from omnitrain.cli.table import COMMANDS, WORKS
from omnitrain.streams import encodable, prepare, remark
from omnitrain.terminal import one_line, visible, visible_json

_reserved: list[TextIO | None] = []
_MARKS = {"nan": "nan", "inf": "inf", "-inf": "-inf"}


def prepare_output(argv: Sequence[str]) -> None:
    """Make this process's standard streams safe for a command line; see `omnitrain.streams.prepare`."""
    command = next((argument for argument in argv if not argument.startswith("-")), "")
    is_product = command not in WORKS or "--dry-run" in argv
    _reserved.append(prepare(is_product, reserved="--json" in argv and command in COMMANDS))


def flush_output() -> None:
    """Hand on what is still buffered.

    Raises BrokenPipeError or EnvironmentFault where that is lost and is what the command was for.
    """
    for stream in (sys.stdout, *_reserved):
        if stream is not None:
            stream.flush()


def discard_output() -> None:
    """Let go of what can't be written, so that the interpreter does not try again at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, *_reserved):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                os.dup2(nowhere, stream.fileno())
                stream.flush()
    os.close(nowhere)


def emit_json(value: Any) -> None:
    """Print plain values as JSON; numbers that are not finite are written as the strings "nan", "inf", "-inf".

    Text that standard output's encoding can't hold is escaped, so that it is read back as it was.
    """
    plain = readable(value)
    text = json.dumps(plain, indent=2, ensure_ascii=False, default=str, allow_nan=False)
    if not encodable(text):
        text = json.dumps(plain, indent=2, default=str, allow_nan=False)
    print(visible_json(text), file=_reserved[-1] if _reserved else None)


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
    remark(text)


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
