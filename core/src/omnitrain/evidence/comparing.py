"""Recursive comparison of an output with the one that was expected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class Tolerance:
    """A number fits when |actual - expected| <= absolute + relative * |expected|."""

    relative: float
    absolute: float


def first_difference(expected: Any, actual: Any, tolerance: Tolerance, path: str) -> str | None:
    """Return the first difference as "path: expected ..., got ...", or None.

    Floating-point numbers are compared by tolerance, 0 equals 0.0, and the strings "nan", "inf" and "-inf" stand for
    numbers. Two integers, strings, booleans and null must be the same. Arrays and tensors are compared as lists.
    """
    actual = _plain(actual)
    if isinstance(expected, Mapping):
        return _mappings(expected, actual, tolerance, path)
    if isinstance(expected, list):
        return _lists(expected, actual, tolerance, path)
    return None if _same(expected, actual, tolerance) else f"{path}: expected {_short(expected)}, got {_short(actual)}"


def _plain(value: Any) -> Any:
    """Turn tensors, arrays and their scalars into lists and numbers, tuples into lists."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "tolist") and not isinstance(value, (list, tuple)):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _mappings(expected: Mapping[str, Any], actual: Any, tolerance: Tolerance, path: str) -> str | None:
    if not isinstance(actual, Mapping):
        return f"{path}: expected a mapping with {', '.join(expected)}, got {_short(actual)}"
    named = {str(key): value for key, value in actual.items()}
    for key in expected:
        if key not in named:
            return f"{path}: expected the key {key!r}, got {', '.join(named) or 'none'}"
    for key in named:
        if key not in expected:
            return f"{path}: got the key {key!r}, which is not expected"
    differences = (first_difference(v, named[k], tolerance, f"{path}.{k}") for k, v in expected.items())
    return next((d for d in differences if d is not None), None)


def _lists(expected: list[Any], actual: Any, tolerance: Tolerance, path: str) -> str | None:
    if not isinstance(actual, Sequence) or isinstance(actual, (str, bytes)):
        return f"{path}: expected a list of {len(expected)}, got {_short(actual)}"
    pairs = enumerate(zip(expected, actual, strict=False))
    differences = (first_difference(e, a, tolerance, f"{path}[{i}]") for i, (e, a) in pairs)
    found = next((d for d in differences if d is not None), None)
    if found is None and len(expected) != len(actual):
        return f"{path}: expected {len(expected)} entries, got {len(actual)}"
    return found


def _same(expected: Any, actual: Any, tolerance: Tolerance) -> bool:
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, int) and isinstance(actual, int):
        return expected == actual
    wanted, found = _number(expected), _number(actual)
    # A word such as "inf" is a number only beside a number: two strings are compared as strings.
    if wanted is None or found is None or (isinstance(expected, str) and isinstance(actual, str)):
        return type(expected) is type(actual) and bool(expected == actual)
    if math.isnan(wanted) or math.isnan(found):
        return math.isnan(wanted) and math.isnan(found)
    if math.isinf(wanted) or math.isinf(found):
        return wanted == found
    return abs(found - wanted) <= tolerance.absolute + tolerance.relative * abs(wanted)


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)):
        return float(value)
    return _WORDS.get(value) if isinstance(value, str) else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
