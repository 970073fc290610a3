"""Whole recipes for a package's own tests: run, dry-run, and read as `FinishedRun` afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitrain.api import FinishedRun
from omnitrain.plugins import installed
from omnitrain.recipes import ResolvedRecipe, load_recipe, resolve

if TYPE_CHECKING:
    from omnitrain.engine.dryrun import DryRun

Recipe = str | Path | Mapping[str, Any]


def read_recipe(recipe: Recipe, *overrides: str) -> ResolvedRecipe:
    """Read a recipe given by address, by file or as plain values, and check it. overrides: as on the command line.

    Raises UsageError or PluginError that list every problem.
    """
    if not isinstance(recipe, Mapping):
        return load_recipe(str(recipe), list(overrides))
    from omnitrain.recipes.overrides import apply_overrides
    from omnitrain.recipes.reading import Document, Origin

    name = "the test's recipe"
    return resolve(apply_overrides(Document(dict(recipe), {(): Origin(name)}), list(overrides)), name, installed())


def run_recipe(recipe: Recipe, out: Path, *overrides: str, force: bool = False) -> FinishedRun:
    """Run a recipe quietly, here in this process; a run directory is gone on with. See `read_recipe`.

    Raises what the command line would end with.
    """
    from omnitrain.engine import Options
    from omnitrain.engine import run_recipe as run

    run(read_recipe(recipe, *overrides), out, Options(force=force, quiet=True))
    return FinishedRun(out)


def run_tiny(plugin: str, out: Path, *overrides: str) -> FinishedRun:
    """Run a plugin's recipe `tiny`; see `run_recipe`."""
    return run_recipe(f"{plugin}/tiny", out, *overrides)


def dry_run(recipe: Recipe, *overrides: str) -> DryRun:
    """Check everything that can be checked without training; see `read_recipe`."""
    from omnitrain.engine.dryrun import dry_run as check

    return check(read_recipe(recipe, *overrides), installed(), quiet=True)
