"""The lock file: a recipe with every value filled in, and where each value came from."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml

from omnitrain.masking import mask, masked
from omnitrain.recipes.model import ResolvedRecipe, Stage, plain
from omnitrain.recipes.reading import Origin, Path_, scalar

SCHEMA = 1


def locked_stage(stage: Stage) -> dict[str, Any]:
    """Return a stage with every default filled in, as plain values; secrets of addresses are masked."""
    return {"name": stage.name, "use": stage.use, **masked(plain(stage.config))}


def locked_values(recipe: ResolvedRecipe) -> dict[str, Any]:
    """Return the whole recipe with every default filled in, as plain values."""
    return {"summary": mask(recipe.summary), "seed": recipe.seed, "stages": [locked_stage(s) for s in recipe.stages]}


def _leaves(value: Any, path: Path_ = ()) -> list[Path_]:
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))]
    if isinstance(value, list) and value:
        return [leaf for i, item in enumerate(value) for leaf in _leaves(item, (*path, i))]
    return [path]


def _origin(path: Path_, recipe: ResolvedRecipe) -> Origin:
    if path in recipe.origins:
        return recipe.origins[path]
    if path[-1:] == ("use",) and path[:-1] in recipe.origins and isinstance(_at(recipe.value, path[:-1]), str):
        return recipe.origins[path[:-1]]  # a component's name alone, as in `model: toy/net`
    for end in range(len(path) - 1, 0, -1):
        found = recipe.origins.get(path[:end])
        if found is not None and found.line is None:
            return found
    return Origin("default")


def _at(value: Any, path: Path_) -> Any:
    for part in path:
        value = value[part]
    return value


class _Dumper(yaml.SafeDumper):
    """Quotes every text that our reader would take for something else (1e-4 is text in YAML 1.1)."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(scalar(text), str) else "'"
    if any(mark in text for mark in "\x85\u2028\u2029"):  # other styles let these line ends turn into "\n"
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def dump(value: Any, width: int = 120) -> str:
    """Write plain values as YAML that is read back as it was."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width)
    return text


def lock_text(recipe: ResolvedRecipe) -> str:
    """Return the lock file's text: the complete recipe, then the origin of each value."""
    values = locked_values(recipe)
    origins = {".".join(map(str, leaf)): mask(str(_origin(leaf, recipe))) for leaf in _leaves(values)}
    head = "# A complete, checked recipe: 'omnitrain run' takes this file as it is.\n"
    document = {"lock": {"schema": SCHEMA, "recipe": recipe.address, "origins": origins}}
    return head + dump(values) + "".join(f"# {line}\n" for line in dump(document, 200).rstrip("\n").split("\n"))


def canonical(values: Any) -> Any:
    """Return plain values in which equal numbers are written alike, as 16 and 16.0 are."""
    if isinstance(values, float) and values.is_integer():
        return int(values)
    if isinstance(values, dict):
        return {key: canonical(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [canonical(value) for value in values]
    return values


def fingerprint(values: Any) -> str:
    """Return 32 hexadecimal digits of plain values; equal values give equal digits."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
