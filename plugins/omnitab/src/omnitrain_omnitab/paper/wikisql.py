"""The answers of WikiSQL's queries under TAPAS' rules, as TAPEX computes its targets (data appendix)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

NONE, MAX, MIN, COUNT, SUM, AVERAGE = range(6)
_OPERATORS: tuple[Callable[[Any, Any], bool], ...] = (
    lambda a, b: bool(a == b),
    lambda a, b: bool(a > b),
    lambda a, b: bool(a < b),
)
_TOKENS = re.compile(r"\w+|[^\w\s]+")


def convert_to_float(value: Any) -> float:
    """Return a number or a text as a float; commas and dots are read as thousands or as the decimal point.

    Raises ValueError.
    """
    if isinstance(value, (int, float)):
        return float(value)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no number")
    text = value
    if "." in text and "," in text:
        text = text.replace(",", "")
    elif "," in text:
        groups = text.split(",")
        if any(len(group) == 3 for group in groups) or len(groups) > 2:
            text = text.replace(",", "")
        else:
            text = text.replace(",", ".")
    elif text.count(".") > 1:
        text = text.replace(".", "")
    return float(text)


def _comparable(value: Any, kind: str) -> Any:
    return convert_to_float(value) if kind == "real" else _TOKENS.findall(str(value).lower())


def _respects(row: Sequence[Any], types: Sequence[str], conditions: Sequence[Sequence[Any]]) -> bool:
    for column, operator, value in conditions:
        cell, wanted = _comparable(row[column], types[column]), _comparable(value, types[column])
        if not _OPERATORS[operator](cell, wanted):
            return False
    return True


def execute(types: Sequence[str], rows: Sequence[Sequence[Any]], sql: dict[str, Any]) -> list[str]:
    """Return the answers of a query.

    types: "text" or "real" of each column. sql: {sel, agg, conds: [[column, operator, value]]}.
    No row: ["none"], of a count ["0.0"]. Raises ValueError for sums of texts and for numbers that can't be read.
    """
    column, operation = sql["sel"], sql["agg"]
    cells = [row[column] for row in rows if _respects(row, types, sql["conds"])]
    if operation == COUNT:
        return [str(float(len(cells)))]
    if not cells:
        return ["none"]
    if operation in (MAX, MIN):
        pick = max if operation == MAX else min
        cells = [pick(cells, key=lambda cell: convert_to_float(cell) if types[column] == "real" else str(cell))]
    if len(cells) == 1:
        return [_single(cells[0], operation)]
    try:
        numbers = [convert_to_float(cell) for cell in cells]
    except ValueError:
        return [str(cell) for cell in cells]
    if operation == SUM:
        return [str(float(sum(numbers)))]
    if operation == AVERAGE:
        return [str(sum(numbers) / len(numbers))]
    return [str(cell) for cell in cells]


def _single(cell: Any, operation: int) -> str:
    try:
        return str(convert_to_float(cell))
    except ValueError:
        if operation in (SUM, AVERAGE):
            raise
        return str(cell)


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """Return 1.0 where a text is the answers joined by ", ", whatever the case, else 0.0."""
    return float(prediction.strip().lower() == ", ".join(answers).strip().lower())
