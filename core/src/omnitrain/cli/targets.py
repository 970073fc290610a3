"""What `omnitrain run` is asked to run, and where."""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from omnitrain.errors import UsageError, nearest

if TYPE_CHECKING:
    from omnitrain.recipes import ResolvedRecipe


def is_run(target: str) -> bool:
    """Whether a target of `omnitrain run` is a run directory."""
    return (Path(target) / "recipe.lock.yaml").is_file()


def target_recipe(target: str, overrides: list[str], resumes: bool, force: bool) -> ResolvedRecipe:
    """Return the recipe of an address, a YAML file or a run directory. resumes: the run goes on in its own directory.

    Raises UsageError for a folder that is not a run, and for overrides of a run that goes on, unless forced.
    """
    from omnitrain.plugins import installed
    from omnitrain.recipes import load_recipe
    from omnitrain.runs import RunDirectory

    path = Path(target)
    if not is_run(target):
        if path.is_dir() and target.partition("/")[0] not in installed().plugins:
            raise UsageError(f"{path} is a folder without recipe.lock.yaml; expected a recipe, a YAML file or a run directory.")
        _check_names_something(target, path)
        return load_recipe(target, overrides)
    if overrides and resumes and not force:
        raise UsageError(
            f"{path} goes on with the settings of its recipe.lock.yaml; leave the overrides out, "
            "add --force to change the run, or --out for a new one."
        )
    recipe = load_recipe(str(path / "recipe.lock.yaml"), overrides)
    return dataclasses.replace(recipe, address=RunDirectory(path).record["address"])


def _check_names_something(target: str, path: Path) -> None:
    """Refuse what looks like a path, or is the name of a file here without its ending, and is not there.

    Raises UsageError with the nearest names.
    """
    from omnitrain.plugins import installed

    place = target.partition("#")[0]
    if place.endswith((".yaml", ".yml")) or any(s.name == place.partition("/")[0] for s in installed().states):
        return
    beside = [f"{place}{ending}" for ending in (".yaml", ".yml") if Path(f"{place}{ending}").is_file()]
    if beside:
        raise UsageError(f"There is no recipe {target!r}; for the file of that name write 'omnitrain run {beside[0]}'.")
    if place.startswith((".", "/", "~")) or ("/" in place and path.parent.is_dir()):
        there = path.parent.iterdir() if path.parent.is_dir() else ()
        runs = [str(p) for p in there if is_run(str(p)) or p.suffix in (".yaml", ".yml")]
        advice = nearest(str(path), runs) if runs else f"{path.parent} holds no runs and no recipes."
        raise UsageError(f"{target} is not there; expected a run directory or a YAML file. {advice}")


def default_out(address: str) -> Path:
    """Return a new folder below ./runs named after the recipe and the time.

    Raises UsageError under several processes, since each would choose its own.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("Several processes need one run directory: add --out.")
    place, _, variant = address.partition("#")
    name = Path(place).stem if place.endswith((".yaml", ".yml")) else place.replace("/", "-")
    name = "-".join(filter(None, [name, re.sub(r"[^A-Za-z0-9_.-]+", "-", variant)]))
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    candidates = [Path("runs") / f"{name}-{stamp}", *(Path("runs") / f"{name}-{stamp}-{i}" for i in range(2, 100))]
    return next(c for c in candidates if not c.exists())
