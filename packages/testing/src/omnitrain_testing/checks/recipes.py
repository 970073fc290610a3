"""Recipes: the three that every plugin ships, each valid and dry-run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from omnitrain.errors import EnvironmentFault
from omnitrain_testing.checks.configs import round_trip
from omnitrain_testing.findings import Note

if TYPE_CHECKING:
    from omnitrain_testing.examination import Examination

MEANINGS = {
    "tiny": "the whole method in seconds, for tests",
    "mini": "minutes on two cores, what 'omnitrain run' runs",
    "paper": "the paper's scale",
}


def present(examination: Examination) -> Iterator[str]:
    """tiny, mini and paper are there."""
    names = [recipe.name for recipe in examination.plugin.recipes]
    for name, meaning in MEANINGS.items():
        if name not in names and (name != "paper" or examination.implements_paper):
            yield f"There is no recipe {name!r} ({meaning}): write recipes/{name}.yaml and list it in Plugin.recipes."
    for name in {name for name in names if names.count(name) > 1}:
        yield f"Two recipes are named {name!r}: rename one."


def dry_run(examination: Examination, name: str) -> Iterator[str]:
    """A recipe is valid, is the same when its lock file is read, and passes its dry run, without a network."""
    recipe = f"{examination.plugin.name}/{name}"
    yield from _locked(examination, recipe)
    found = examination.ask(0, "dry-run", recipe)
    if found["code"] == EnvironmentFault.exit_code:
        yield Note(f"not judged here: {found['error']}")
        return
    if found["code"]:
        yield f"'omnitrain run {recipe} --dry-run' ends with exit code {found['code']}: {found['error']}"
        return
    for stage in found.get("stages", ()):
        if stage["code"] == EnvironmentFault.exit_code:
            yield from (Note(f"stage {stage['name']!r} is not judged here: {problem}") for problem in stage["problems"])
        else:
            yield from (f"Stage {stage['name']!r} of {recipe}: {problem.rstrip('.')}." for problem in stage["problems"])
        yield from (Note(f"stage {stage['name']!r}: {note}") for note in stage["notes"] if "not checked here" in note)


def _locked(examination: Examination, address: str) -> Iterator[str]:
    from omnitrain.errors import OmnitrainError
    from omnitrain.recipes import fingerprint, load_recipe, lock_text, locked_values

    try:
        recipe = load_recipe(address, registry=examination.registry)
    except OmnitrainError:  # which the dry run tells
        return
    path = examination.scratch / f"{address.replace('/', '-')}.lock.yaml"
    path.write_text(lock_text(recipe), encoding="utf-8")
    again = load_recipe(str(path), registry=examination.registry)
    if fingerprint(locked_values(again)) == fingerprint(locked_values(recipe)):
        return
    own = [problem for c in examination.plugin.components for problem in round_trip(examination, c) if isinstance(problem, str)]
    if not own:  # else the check of that component's settings says it better
        yield f"The lock file of {address} is read back as another recipe, so that no run of it could be gone on with."
