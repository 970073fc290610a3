"""What a recipe is: an ordered list of named stages with their components and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omnitrain.api.config import Config, Use, UseEvaluator
from omnitrain.api.descriptors import Component
from omnitrain.recipes.reading import Origin, Path_


@dataclass(frozen=True)
class Stage:
    """One step of a recipe. use: address of its stage component. config: its validated config, uses resolved."""

    name: str
    use: str
    component: Component
    config: Config


@dataclass(frozen=True)
class ResolvedRecipe:
    """A checked recipe. value: the merged plain values. origins: where each was written."""

    address: str
    summary: str
    seed: int
    stages: tuple[Stage, ...]
    value: Mapping[str, Any]
    origins: Mapping[Path_, Origin]

    def stage(self, name: str) -> Stage:
        """Return the stage of that name."""
        return next(s for s in self.stages if s.name == name)


def uses(config: Config) -> Iterator[tuple[Path_, Use]]:
    """Yield every `Use` in a config, nested ones too, with its path. Inside a resolved one the search goes on."""
    for name in type(config).model_fields:
        yield from _search(getattr(config, name), (name,))


def _search(value: Any, path: Path_) -> Iterator[tuple[Path_, Use]]:
    if isinstance(value, Use):
        yield path, value
        if value.is_resolved:
            for inner, use in uses(value.config):
                yield (*path, *inner), use
    elif isinstance(value, Config):
        for inner, use in uses(value):
            yield (*path, *inner), use
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _search(item, (*path, i))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _search(item, (*path, key))


def configs(config: Config) -> Iterator[tuple[Path_, Config]]:
    """Yield a config and every one in it with its path, also those of the components that it uses."""
    yield from _configs(config, ())


def _configs(value: Any, path: Path_) -> Iterator[tuple[Path_, Config]]:
    if isinstance(value, Use):
        value = value.config if value.is_resolved else None
    if isinstance(value, Config):
        yield path, value
        for name in type(value).model_fields:
            yield from _configs(getattr(value, name), (*path, name))
    elif isinstance(value, (list, tuple, dict)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _configs(item, (*path, key))


def plain(config: Config) -> dict[str, Any]:
    """Return a config as plain values for lock files, with every default filled in and every use written out."""
    return {name: _plain(getattr(config, name)) for name in type(config).model_fields}


def _plain(value: Any) -> Any:
    if isinstance(value, Use):
        if value.source is not None:
            return {"from": value.source, **value.raw}
        named = {"name": value.name} if isinstance(value, UseEvaluator) and value.name is not None else {}
        return {"use": value.use, **named, **(plain(value.config) if value.is_resolved else value.raw)}
    if isinstance(value, Config):
        return plain(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
