"""A plugin's description as plain data: checked field by field against the types that it is declared with, and built again.

A description is text, so that it can be made in one process and used in another. What a new field of `Plugin` may hold is read
from its annotation; nothing here names the fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from omnitrain.api.descriptors import Command, Plugin

PLUGIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ITEM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "None"}


class Misdescribed(Exception):
    """A description holds something else than it is declared to hold."""


def to_plain(plugin: Plugin) -> dict[str, Any]:
    """Return a description as what JSON can hold.

    Raises Misdescribed, which names the field, what it holds and what was expected.
    """
    plain: dict[str, Any] = _plain(plugin, Plugin, "")
    _check_names(plugin)
    _check_references(plugin)
    return plain


def from_plain(data: Mapping[str, Any]) -> Plugin:
    """Return the description that `to_plain` wrote down."""
    plugin: Plugin = _builder(Plugin)(data)
    return plugin


def commands_from_plain(data: Mapping[str, Any]) -> tuple[Command, ...]:
    """Return the commands of a description that `to_plain` wrote down."""
    return tuple(Command(**entry) for entry in data["commands"])


def _check_names(plugin: Plugin) -> None:
    """Refuse what could not be addressed, and what is there twice."""
    for what, items in (("component", plugin.components), ("recipe", plugin.recipes), ("command", plugin.commands)):
        for item in items:
            if not _ITEM_NAME.fullmatch(item.name):
                raise Misdescribed(f"names a {what} {_shown(item.name)}; expected letters, digits, '.', '-' and '_'")
    seen: set[tuple[str, str]] = set()
    for component in plugin.components:
        if (component.kind, component.name) in seen:
            raise Misdescribed(f"describes the {component.kind} {component.name!r} twice")
        seen.add((component.kind, component.name))


def _check_references(plugin: Plugin) -> None:
    """Refuse what names no attribute of a module, or a file outside of a package."""
    named = [(f"component {c.name!r}", reference) for c in plugin.components for reference in (c.config, c.build)]
    named += [(f"command {c.name!r}", c.run) for c in plugin.commands]
    for what, reference in named:
        if ":" not in reference or ".." in reference:
            raise Misdescribed(f"{what} refers to {_shown(reference)}; expected 'module:attribute'")
    for recipe in plugin.recipes:
        _, separator, relative = recipe.path.partition(":")
        if not separator or relative.startswith("/") or ".." in relative.split("/"):
            raise Misdescribed(f"recipe {recipe.name!r} is at {_shown(recipe.path)}; expected a file inside the package")


def _plain(value: Any, hint: Any, place: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        fitting = next((option for option in get_args(hint) if _fits(value, option)), None)
        if fitting is not None:
            return _plain(value, fitting, place)
    elif _fits(value, hint):
        if hint is str:
            return _text(value, place)
        if is_dataclass(hint):
            hints = _hints(cast(Any, hint))
            return {f.name: _plain(getattr(value, f.name, None), hints[f.name], _inside(place, f.name)) for f in fields(hint)}
        if origin is tuple:
            return [_plain(item, get_args(hint)[0], _inside(place, i)) for i, item in enumerate(value)]
        if origin is Mapping:
            return {_text(k, place): _plain(v, get_args(hint)[1], _inside(place, k)) for k, v in value.items()}
        return float(value) if hint is float else int(value) if hint is int else value
    raise Misdescribed(f"{place or 'the description'} is {_shown(value)}; expected {_expected(hint)}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is, by itself, what one plain type, or the outside of one that holds others, stands for."""
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        return isinstance(value, (tuple, list))
    if origin is Mapping:
        return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    if hint in (int, float):
        return isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _text(value: str, place: str) -> str:
    if _UNWRITABLE.search(value):
        raise Misdescribed(f"{place} is {_shown(value)}; expected text without control characters")
    return str(value)


def _inside(place: str, part: Any) -> str:
    return f"{place}.{part}" if place else str(part)


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # a description may hold anything, also what can't be shown
        text = f"something of type {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _expected(hint: Any) -> str:
    arguments = get_args(hint)
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return " or ".join(_expected(option) for option in arguments)
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin is tuple:
        return f"a tuple, each {_expected(arguments[0])}"
    if origin is Mapping:
        return f"a mapping of names, each to {_expected(arguments[1])}"
    return _WORDS.get(hint, f"omnitrain.api.{getattr(hint, '__name__', hint)}")


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


@cache
def _builder(hint: Any) -> Callable[[Any], Any]:
    """Return what builds a value of that type from plain data."""
    origin, arguments = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        made: Callable[..., Any] = hint  # type: ignore[assignment]
        parts = {name: _builder(kind) for name, kind in _hints(made).items()}
        return lambda data: made(**{name: parts[name](value) for name, value in data.items()})
    if origin in (Union, UnionType):
        options = [(option, _builder(option)) for option in arguments]
        return lambda data: next(build for option, build in options if _written(data, option))(data)
    if origin is tuple:
        item = _builder(arguments[0])
        return lambda data: tuple(map(item, data))
    if origin is Mapping:
        entry = _builder(arguments[1])
        return lambda data: {key: entry(value) for key, value in data.items()}
    return lambda data: data


def _written(data: Any, hint: Any) -> bool:
    """Whether plain data is how a value of that type is written down."""
    return isinstance(data, dict) if is_dataclass(hint) else _fits(data, hint)
