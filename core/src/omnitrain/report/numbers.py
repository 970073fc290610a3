"""How numbers and times are written for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from omnitrain.runs.progress import duration

_THIN = "\u2009"


def number(value: Any) -> str:
    """Write a number with four significant digits, integers in groups of three, other values as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}".replace(",", _THIN)
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "\u221e" if value > 0 else "\u2212\u221e"
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        return _power(value, 3)
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    if "." in text and float(text) == value:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "\u2212")


def _power(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}".replace("-", "\u2212")


def p_text(p: Any) -> str:
    """Write a p value with two digits: .024, < .0001."""
    if p is None:
        return ""
    value = float(p)
    if value < 1e-4:
        return "< .0001"
    return f"{value:.2g}".removeprefix("0") if value < 0.995 else "1"


def seconds(value: float) -> str:
    """Write a time: 1.8 s, 3 min 20 s."""
    return f"{value:.1f} s" if value < 10 else duration(value)


def numeric_columns(rows: Sequence[Sequence[Any]], columns: int) -> list[int]:
    """Return which columns of a table hold numbers and nothing else but empty cells."""
    found = []
    for column in range(columns):
        cells = [row[column] for row in rows if column < len(row) and row[column] not in ("", None)]
        if cells and all(numeric(cell) for cell in cells):
            found.append(column)
    return found


def numeric(value: Any) -> bool:
    """Whether a table's cell is a number, to be set right-aligned."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
