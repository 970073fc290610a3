"""What plain values must look like, and where in them they don't: for files that anything may have changed."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of its own. words: what is expected, for messages."""

    words: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Each:
    """A mapping from any names to values of one shape."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Pair:
    """A list of two values of one shape."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Maybe:
    """A shape or null."""

    shape: Shape


# A mapping names keys, one with "?" behind it may be absent, others are free; a list holds the shape of its items.
Shape = Leaf | Each | Pair | Maybe | Mapping[str, Any] | list[Any]


def _is_date(value: Any) -> bool:
    try:
        datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


ANY = Leaf("a value", lambda value: True)
TEXT = Leaf("text", lambda value: isinstance(value, str))
NUMBER = Leaf("a number", _is_number)
FINITE = Leaf("a finite number", lambda value: _is_number(value) and math.isfinite(value))
WHOLE = Leaf("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
DURATION = Leaf("seconds", lambda value: _is_number(value) and 0 <= value < 1e12)
DATE = Leaf("a date and time", _is_date)
CELL = Leaf("text, a number, true, false or null", lambda value: value is None or isinstance(value, (str, int, float)))


def matching(pattern: str, words: str) -> Leaf:
    """Return a leaf of text that a pattern matches as a whole."""
    compiled = re.compile(pattern)
    return Leaf(words, lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None)


def misfit(value: Any, shape: Shape) -> str | None:
    """Return where a value has another shape, as "stages[0].name: expected text, not 5", or None where it fits."""
    found = _fault(value, shape)
    return None if found is None else f"{found[0].removeprefix('.') or 'it'}{found[1]}"


def _fault(value: Any, shape: Shape) -> tuple[str, str] | None:
    """Return place and kind of the first fault. The place is put together on the way back, since most values have none."""
    if isinstance(shape, Leaf):
        return None if shape.fits(value) else _unexpected(value, shape.words)
    if isinstance(shape, Maybe):
        return None if value is None else _fault(value, shape.shape)
    if isinstance(shape, (list, Pair)):
        return _list_fault(value, shape)
    if not isinstance(value, dict):
        return _unexpected(value, "a mapping")
    if isinstance(shape, Each):
        for name, item in value.items() if shape.shape is not ANY else ():
            found = _fault(item, shape.shape)
            if found is not None:
                return f".{name}{found[0]}", found[1]
        return None
    for key, inner in shape.items():
        name = key.removesuffix("?")
        if name in value:
            found = _fault(value[name], inner)
            if found is not None:
                return f".{name}{found[0]}", found[1]
        elif not key.endswith("?"):
            return f".{name}", " is missing"
    return None


def _list_fault(value: Any, shape: list[Any] | Pair) -> tuple[str, str] | None:
    if not isinstance(value, list):
        return _unexpected(value, "a list")
    if isinstance(shape, Pair) and len(value) != 2:
        return "", f": expected a list of two, not of {len(value)}"
    inner = shape.shape if isinstance(shape, Pair) else shape[0]
    for i, item in enumerate(value) if inner is not ANY else ():
        found = _fault(item, inner)
        if found is not None:
            return f"[{i}]{found[0]}", found[1]
    return None


def _unexpected(value: Any, words: str) -> tuple[str, str]:
    kind = {dict: "a mapping", list: "a list", type(None): "null"}.get(type(value))
    shown = kind or repr(value)
    return "", f": expected {words}, not {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'}"
