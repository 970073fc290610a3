"""Values put into a recipe by their paths: overrides of the command line ("pretrain.fit.steps=50") and entries of `set:`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from omnitrain.errors import UsageError, nearest
from omnitrain.recipes.reading import Document, Origin, Path_, read_value

COMMAND_LINE = "command line"
DEEPEST = 50


def parts_of(key: str, prefix: str) -> Path_:
    """Split "fit.steps" or "stages.0.fit" into its parts; digits are places in lists.

    Raises UsageError, which begins with `prefix`, for a key with an empty part or too many.
    """
    if key.count(".") >= DEEPEST:
        raise UsageError(f"{prefix}: the key has more than {DEEPEST} parts; a recipe needs a handful.")
    parts = tuple(int(p) if p.isascii() and p.isdigit() else p for p in key.split("."))
    if "" in parts:
        raise UsageError(f"{prefix}: the key {key!r} has an empty part.")
    return parts


def target(key: str, recipe: Any, prefix: str) -> Path_:
    """Return the path that an override's key names: "pretrain.fit" is ("stages", 0, "fit").

    Raises UsageError, which begins with `prefix`, when the recipe has no such stage.
    """
    parts = parts_of(key, prefix)
    stages = recipe.get("stages") if isinstance(recipe, dict) else None
    names = [s.get("name") if isinstance(s, dict) else None for s in stages] if isinstance(stages, list) else []
    if parts[0] in ("seed", "summary") and len(parts) == 1:
        return parts
    if parts[0] in names:
        return ("stages", names.index(str(parts[0])), *parts[1:])
    if parts[0] == "stages":
        return parts
    known = ["seed", *(str(n) for n in names)]
    raise UsageError(f"{prefix}: the recipe has no stage {parts[0]!r}. {nearest(str(parts[0]), known)}")


def put(root: Any, origins: dict[Path_, Origin], path: Path_, value: Any, written: Mapping[Path_, Origin], prefix: str) -> None:
    """Put a value into plain values, in place. written: where the value was written, by the path inside it.

    Raises UsageError, which begins with `prefix`, for a path into a plain value or past the end of a list.
    """
    here = root
    for part in path[:-1]:
        here = _inside(here, part, prefix)
    last = path[-1]
    if isinstance(here, list):
        here[_index(here, last, prefix)] = value
    elif isinstance(here, dict):
        here[str(last)] = value
    else:
        raise UsageError(f"{prefix}: {last!r} lies inside a plain value.")
    for known in [known for known in origins if known[: len(path)] == path]:
        del origins[known]
    origins.update({(*path, *inner): origin for inner, origin in written.items()})


def _inside(here: Any, part: str | int, prefix: str) -> Any:
    """Step into a list or mapping; a component's name alone becomes a mapping, so that it may get settings."""
    if isinstance(here, list):
        index = _index(here, part, prefix)
        if isinstance(here[index], str):
            here[index] = {"use": here[index]}
        return here[index]
    if isinstance(here, dict):
        if isinstance(here.get(str(part)), str):
            here[str(part)] = {"use": here[str(part)]}
        return here.setdefault(str(part), {})
    raise UsageError(f"{prefix}: {part!r} lies inside a plain value.")


def _index(entries: list[Any], part: str | int, prefix: str) -> int:
    if not isinstance(part, int) or part >= len(entries):
        raise UsageError(f"{prefix}: {part!r} is not one of the {len(entries)} entries of the list.")
    return part


def apply_overrides(document: Document, overrides: list[str]) -> Document:
    """Return the document with the overrides in place, in their order.

    Raises UsageError for an override without "=", of an unknown stage or inside a plain value.
    """
    if not overrides:
        return document
    value, origins = copy.deepcopy(document.value), dict(document.origins)
    for text in overrides:
        key, separator, raw = text.partition("=")
        if not separator or not key:
            raise UsageError(f"{text!r} is not an override; write 'stage.key=value', for example pretrain.fit.steps=50.")
        source = f"{COMMAND_LINE}: {text}"
        path = target(key, value, repr(text))
        put(value, origins, path, read_value(raw, source), {(): Origin(source)}, repr(text))
    return Document(value, origins)
