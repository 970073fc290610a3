"""From an address or a file and overrides to a checked recipe."""

from __future__ import annotations

from omnitrain.plugins import Registry, installed
from omnitrain.recipes.expanding import read_source, source_of
from omnitrain.recipes.lock import dump
from omnitrain.recipes.model import ResolvedRecipe
from omnitrain.recipes.overrides import apply_overrides
from omnitrain.recipes.reading import Document, read_file
from omnitrain.recipes.resolving import resolve


def read_recipe(address: str, registry: Registry) -> tuple[str, Document]:
    """Read a recipe, its bases in place, by address ("ul2" means "ul2/mini") or from a file (*.yaml, *.yml).

    "#awr" behind either chooses a variant. Raises UsageError or PluginError when there is none.
    """
    source = source_of(address, registry)
    return str(source) if "#" in address else source.name, read_source(source, registry)


def load_recipe(address: str, overrides: list[str] | None = None, registry: Registry | None = None) -> ResolvedRecipe:
    """Read, override and check a recipe.

    Raises UsageError or PluginError that list every problem.
    """
    registry = registry or installed()
    name, document = read_recipe(address, registry)
    return resolve(apply_overrides(document, overrides or []), name, registry)


def written_out(address: str, registry: Registry) -> str:
    """Return YAML that runs as the recipe does: its own file with the comments, or, where that has a base, all its values.

    Raises UsageError or PluginError when there is none.
    """
    name, document = read_recipe(address, registry)
    path = source_of(address, registry).path
    if read_file(path).value == document.value:
        return path.read_text("utf-8")
    return f"# {name} with its bases in place.\n{dump(document.value)}"
