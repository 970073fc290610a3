"""Recipes that begin with another one (`base:` with `set:`), tables of `variants:`, and stages like an earlier stage."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from omnitrain.errors import OmnitrainError, UsageError, nearest
from omnitrain.plugins import Registry
from omnitrain.recipes.overrides import parts_of, put, target
from omnitrain.recipes.reading import NODE_LIMIT, Document, Origin, Path_, read_file

MOST_BASES = 8
MOST_ENTRIES = 1000
TOP_LEVEL = ("summary", "seed", "stages", "base", "set", "variants")
_OWN = ("summary", "seed")
_WITH_BASE = ("base", "set", *_OWN, "variants")
_VARIANT = ("base", "set", *_OWN)
_STAGE = ("name", "base", "set")


@dataclass(frozen=True)
class Source:
    """A recipe to be read.

    name: what messages and lock files call it. path: its file. variant: the chosen row of its table, or "".
    location: from which a relative base is named, "omnitrain_phf:recipes/arm.yaml" or a file of the user's.
    """

    name: str
    path: Path
    variant: str
    location: str

    def __str__(self) -> str:
        return f"{self.name}#{self.variant}" if self.variant else self.name


def source_of(address: str, registry: Registry) -> Source:
    """Find a recipe by address ("ul2" means "ul2/mini") or by file (*.yaml, *.yml); "#awr" behind it chooses a variant.

    Raises UsageError or PluginError when there is none.
    """
    place, _, variant = address.partition("#")
    if _is_file(place):
        return Source(place, Path(place), variant, place)
    recipe, path = registry.recipe(place)
    location, _, row = recipe.path.partition("#")
    return Source(place if "/" in place else f"{place}/mini", path, variant or row, location)


def read_source(source: Source, registry: Registry, chain: tuple[Source, ...] = ()) -> Document:
    """Read a recipe with its bases in place: plain values, each with the line where it was written, be it a base's.

    Raises UsageError with file and line for a base that is not there, bases that lead back or are too many, an entry of `set`
    that fits nothing, and a variant or an earlier stage that is not there.
    """
    document = read_file(source.path, source.name)
    value, origins = document.value, document.origins
    if not isinstance(value, dict):
        return document
    rows = _rows(value, origins)
    layers: list[tuple[Path_, Mapping[str, Any]]] = [((), value)]
    if source.variant:
        if source.variant not in rows:
            raise UsageError(f"{source.name}: there is no variant {source.variant!r}. {nearest(source.variant, rows)}")
        layers.append((("variants", source.variant), rows[source.variant]))
    begin = next((path for path, layer in reversed(layers) if "base" in layer), None)
    if begin is None:
        built, places = _own(value, origins)
    else:
        if "base" in value and "stages" in value:
            raise UsageError(f"{origins['base',]}: base: this recipe has stages of its own; write either base or stages.")
        if begin == ():
            _check_keys(value, (), _WITH_BASE, origins)
        at = (*begin, "base")
        found = _base(dict(layers)[begin]["base"], origins[at], source, registry, chain)
        if not isinstance(found.value, dict):
            raise UsageError(f"{origins[at]}: base: it holds no recipe.")
        built, places = found.value, dict(found.origins)
    for path, layer in layers:
        for key in _OWN:
            if key in layer:
                put(built, places, (key,), layer[key], _below(origins, (*path, key)), "")
        _set(built, places, layer, path, origins)
    return Document(built, places)


def _is_file(address: str) -> bool:
    return address.endswith((".yaml", ".yml"))


def _below(origins: Mapping[Path_, Origin], path: Path_) -> dict[Path_, Origin]:
    """Return the origins of what lies at or below a path, by the path from there."""
    return {known[len(path) :]: origin for known, origin in origins.items() if known[: len(path)] == path}


def _check_keys(layer: Mapping[str, Any], path: Path_, known: tuple[str, ...], origins: Mapping[Path_, Origin]) -> None:
    for key in layer:
        if key not in known:
            name = ".".join(map(str, (*path, key)))
            advice = "With a base, all else is changed in 'set'." if "base" in layer else ""
            raise UsageError(f"{origins[(*path, key)]}: {name}: unknown key. {nearest(key, known)} {advice}".rstrip())


def _rows(value: Mapping[str, Any], origins: Mapping[Path_, Origin]) -> dict[str, Mapping[str, Any]]:
    """Return the rows of a recipe's table; an empty one changes nothing."""
    table = value.get("variants") or {}
    if not isinstance(table, dict):
        raise UsageError(f"{origins['variants',]}: variants: expected a mapping of names to what each one changes.")
    rows: dict[str, Mapping[str, Any]] = {}
    for name, row in table.items():
        path = ("variants", name)
        if row is not None and not isinstance(row, dict):
            raise UsageError(f"{origins[path]}: variants.{name}: expected a mapping with set, and base, summary or seed.")
        rows[name] = row or {}
        _check_keys(rows[name], path, _VARIANT, origins)
    return rows


def _base(address: Any, at: Origin, source: Source, registry: Registry, chain: tuple[Source, ...]) -> Document:
    """Read the recipe that another one begins with. at: where that is said."""
    if not isinstance(address, str) or not address:
        raise UsageError(f"{at}: base: expected the address of a recipe, or a file in the same folder.")
    place, _, variant = address.partition("#")
    if _is_file(place):
        inside = PurePosixPath(place)
        if inside.is_absolute() or ".." in inside.parts:
            raise UsageError(f"{at}: base: {place!r} lies outside of this recipe's folder; put the two files side by side.")
        location = source.location.rpartition("/")
        name = f"{location[0]}{location[1]}{inside}"
        found = Source(name, source.path.parent / inside, variant, name)
    else:
        try:
            found = source_of(address, registry)
        except OmnitrainError as error:
            raise type(error)(f"{at}: base: {error}") from error
    chain = (*chain, source)
    written = " -> ".join(map(str, (*chain, found)))
    if any((found.path, found.variant) == (earlier.path, earlier.variant) for earlier in chain):
        raise UsageError(f"{at}: base: leads back to where it came from: {written}.")
    if len(chain) > MOST_BASES:
        raise UsageError(f"{at}: base: more than {MOST_BASES} bases, one behind the other: {written}.")
    if not found.path.is_file():
        raise UsageError(f"{at}: base: there is no file {found.path}.")
    return read_source(found, registry, chain)


def _set(
    built: Any, places: dict[Path_, Origin], layer: Mapping[str, Any], path: Path_, origins: Mapping[Path_, Origin]
) -> None:
    """Put the entries of a layer's `set` into a recipe, in their order."""
    for key, item, at in _entries(layer, path, origins):
        prefix = f"{origins[at]}: set: {key}"
        put(built, places, target(key, built, prefix), item, _below(origins, at), prefix)


def _entries(layer: Mapping[str, Any], path: Path_, origins: Mapping[Path_, Origin]) -> Iterable[tuple[str, Any, Path_]]:
    """Yield key, value and place of each entry of `set`."""
    entries = layer.get("set") or {}
    if not isinstance(entries, dict):
        raise UsageError(f"{origins[(*path, 'set')]}: set: expected a mapping such as {{train.fit.steps: 50}}.")
    if len(entries) > MOST_ENTRIES:
        raise UsageError(f"{origins[(*path, 'set')]}: set: more than {MOST_ENTRIES} entries; write the recipe out.")
    for key, item in entries.items():
        yield key, item, (*path, "set", key)


def _own(value: Mapping[str, Any], origins: Mapping[Path_, Origin]) -> tuple[dict[str, Any], dict[Path_, Origin]]:
    """Return the recipe that a file holds itself, with its stages written out."""
    built = {key: item for key, item in value.items() if key not in ("base", "set", "variants")}
    places = {path: origin for path, origin in origins.items() if path[:1] not in (("base",), ("set",), ("variants",))}
    stages = built.get("stages")
    if isinstance(stages, list):
        for i, stage in enumerate(stages):
            if isinstance(stage, dict) and "base" in stage and "use" not in stage:
                _like_earlier(built, places, i, origins)
    return built, places


def _like_earlier(built: dict[str, Any], places: dict[Path_, Origin], index: int, origins: Mapping[Path_, Origin]) -> None:
    """Write out the stage that begins as an earlier one."""
    stages, path = built["stages"], ("stages", index)
    stage = stages[index]
    _check_keys(stage, path, _STAGE, origins)
    earlier = {s["name"]: i for i, s in enumerate(stages[:index]) if isinstance(s, dict) and isinstance(s.get("name"), str)}
    at = origins[(*path, "base")]
    if not isinstance(stage["base"], str) or stage["base"] not in earlier:
        raise UsageError(f"{at}: base: no earlier stage is named {stage['base']!r}. {nearest(str(stage['base']), earlier)}")
    model = ("stages", earlier[stage["base"]])
    copied = _below(places, model)
    if len(places) + len(copied) > NODE_LIMIT:
        raise UsageError(f"{at}: base: more than {NODE_LIMIT} values after writing the stages out.")
    whole = {**copy.deepcopy(stages[model[1]]), "name": stage.get("name")}
    own = {(): origins[path], ("name",): origins.get((*path, "name"), origins[path])}
    put(built, places, path, whole, copied | own, "")
    for key, item, place in _entries(stage, path, origins):
        prefix = f"{origins[place]}: set: {key}"
        put(built, places, (*path, *parts_of(key, prefix)), item, _below(origins, place), prefix)
