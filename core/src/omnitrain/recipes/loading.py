"""From an address or a file and overrides to a checked recipe."""

from __future__ import annotations

from pathlib import Path

from omnitrain.plugins import Registry, installed
from omnitrain.recipes.model import ResolvedRecipe
from omnitrain.recipes.overrides import apply_overrides
from omnitrain.recipes.reading import Document, read_file
from omnitrain.recipes.resolving import resolve


def read_recipe(address: str, registry: Registry) -> tuple[str, Document]:
    """Read a recipe by address ("ul2" means "ul2/mini") or from a file (*.yaml, *.yml).

    Raises UsageError or PluginError when there is none.
    """
    if address.endswith((".yaml", ".yml")):
        return address, read_file(Path(address))
    _, path = registry.recipe(address)
    full = address if "/" in address else f"{address}/mini"
    return full, read_file(path, full)


def load_recipe(address: str, overrides: list[str] | None = None, registry: Registry | None = None) -> ResolvedRecipe:
    """Read, override and check a recipe.

    Raises UsageError or PluginError that list every problem.
    """
    registry = registry or installed()
    name, document = read_recipe(address, registry)
    return resolve(apply_overrides(document, overrides or []), name, registry)
