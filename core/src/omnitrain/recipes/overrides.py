"""Overrides of the command line: "pretrain.fit.steps=50"."""

from __future__ import annotations

from typing import Any

from omnitrain.errors import UsageError, nearest
from omnitrain.recipes.reading import Document, Origin, Path_, read_value

COMMAND_LINE = "command line"


def _target(text: str, stages: list[Any]) -> tuple[Path_, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UsageError(f"{text!r} is not an override; write 'stage.key=value', for example pretrain.fit.steps=50.")
    parts: list[str | int] = [int(p) if p.isascii() and p.isdigit() else p for p in key.split(".")]
    if any(p == "" for p in parts):
        raise UsageError(f"{text!r}: the key {key!r} has an empty part.")
    names = [s.get("name") if isinstance(s, dict) else None for s in stages]
    if parts[0] in ("seed", "summary") and len(parts) == 1:
        return tuple(parts), value
    if parts[0] in names:
        return ("stages", names.index(str(parts[0])), *parts[1:]), value
    if parts[0] == "stages":
        return tuple(parts), value
    known = ["seed", *(str(n) for n in names)]
    raise UsageError(f"{text!r}: the recipe has no stage {parts[0]!r}. {nearest(str(parts[0]), known)}")


def _set(root: Any, path: Path_, value: Any, text: str) -> None:
    here = root
    for part in path[:-1]:
        if isinstance(here, list):
            if not isinstance(part, int) or part >= len(here):
                raise UsageError(f"{text!r}: {part!r} is not one of the {len(here)} entries of the list.")
            if isinstance(here[part], str):
                here[part] = {"use": here[part]}
            here = here[part]
        elif isinstance(here, dict):
            if isinstance(here.get(str(part)), str):
                here[str(part)] = {"use": here[str(part)]}
            here = here.setdefault(str(part), {})
        else:
            raise UsageError(f"{text!r}: {part!r} lies inside a plain value.")
    last = path[-1]
    if isinstance(here, list):
        if not isinstance(last, int) or last >= len(here):
            raise UsageError(f"{text!r}: {last!r} is not one of the {len(here)} entries of the list.")
        here[last] = value
    elif isinstance(here, dict):
        here[str(last)] = value
    else:
        raise UsageError(f"{text!r}: {last!r} lies inside a plain value.")


def apply_overrides(document: Document, overrides: list[str]) -> Document:
    """Return the document with the overrides in place, in their order.

    Raises UsageError for an override without "=", of an unknown stage or inside a plain value.
    """
    if not overrides:
        return document
    import copy

    value = copy.deepcopy(document.value)
    origins = dict(document.origins)
    stages = value.get("stages") if isinstance(value, dict) else None
    for text in overrides:
        path, raw = _target(text, stages if isinstance(stages, list) else [])
        _set(value, path, read_value(raw, f"{COMMAND_LINE}: {text}"), text)
        origins = {known: origin for known, origin in origins.items() if known[: len(path)] != path}
        origins[path] = Origin(f"{COMMAND_LINE}: {text}")
    return Document(value, origins)
