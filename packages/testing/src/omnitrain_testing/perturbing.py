"""Settings that differ from given ones in a single value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from omnitrain.api import Config, Use
from omnitrain.recipes import uses

LIMIT = 24


def perturbed(config: Config) -> Iterator[tuple[str, Config]]:
    """Yield (key, config) with one number, switch or choice changed; nested configs too, components inside not.

    At most LIMIT of them. Changes that the config refuses are left out.
    """
    for count, (path, value) in enumerate(_changes(config, ())):
        if count >= LIMIT:
            return
        found = _with(config, path, value)
        if found is not None:
            yield ".".join(path), found


def _changes(config: Config, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, info in type(config).model_fields.items():
        value = getattr(config, name)
        here = (*path, name)
        if isinstance(value, Config):
            yield from _changes(value, here)
        elif get_origin(info.annotation) is Literal:
            yield from ((here, choice) for choice in get_args(info.annotation) if choice != value)
        elif isinstance(value, bool):
            yield here, not value
        elif isinstance(value, int):
            yield here, value + 1
        elif isinstance(value, float):
            yield here, value * 0.75 if value * 0.75 != value else 0.25


def _with(config: Config, path: tuple[str, ...], value: Any) -> Config | None:
    """Return the config with one value replaced, validated; components that it holds stay resolved."""
    name, *rest = path
    inner = value if not rest else _with(getattr(config, name), tuple(rest), value)
    if inner is None and rest:
        return None
    values = {field: getattr(config, field) for field in type(config).model_fields}
    try:
        found = type(config).model_validate({**values, name: inner})
    except ValidationError:
        return None
    held = dict(uses(config))
    for where, use in uses(found):
        source: Use | None = held.get(where)
        if source is not None and source.is_resolved and not use.is_resolved:
            use.resolved(source.config)
    return found
