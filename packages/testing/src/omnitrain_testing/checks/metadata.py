"""What a plugin says of itself, and what its distribution carries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from omnitrain.api import API_VERSION

if TYPE_CHECKING:
    from omnitrain_testing.examination import Examination

LONGEST_SUMMARY = 120
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def healthy(examination: Examination) -> Iterator[str]:
    """The plugin can be loaded, and nobody else has its name."""
    state = examination.state
    if state.plugin is None:
        yield f"{state.distribution} {state.version} is {state.status}: {state.reason}."
    for other in examination.duplicates:
        yield f"{other.distribution} offers a plugin of the same name: {other.reason}."


def metadata(examination: Examination) -> Iterator[str]:
    """Names, summaries, versions, and the files that a distribution needs."""
    plugin = examination.plugin
    if not _NAME.fullmatch(plugin.name):
        yield f"The name {plugin.name!r} is not lower-case words joined by hyphens: rename the entry point and Plugin.name."
    yield from _summary("The plugin", plugin.summary)
    for component in plugin.components:
        yield from _summary(f"The {component.kind} {component.name!r}", component.summary)
    for recipe in plugin.recipes:
        yield from _summary(f"The recipe {recipe.name!r}", recipe.summary)
    ours = ".".join(map(str, API_VERSION))
    if not re.fullmatch(r"\d+\.\d+", plugin.api):
        yield f"Plugin.api is {plugin.api!r}: name the interface version that it was written for, such as {ours!r}."
    yield from _distribution(examination)


def _summary(what: str, text: str) -> Iterator[str]:
    if not text.strip():
        yield f"{what} has no summary: say in one line what it is."
    elif "\n" in text or len(text) > LONGEST_SUMMARY:
        yield f"The summary of {what[0].lower() + what[1:]} is not one line of at most {LONGEST_SUMMARY} characters."


def _distribution(examination: Examination) -> Iterator[str]:
    found = examination.distribution
    name = examination.state.distribution
    if not str(found.metadata.json.get("description", "")).strip():
        yield f"{name} carries no README: set 'readme' in its pyproject.toml and install it again."
    if not str(found.metadata.json.get("summary", "")).strip():
        yield f"{name} has no description: set 'description' in its pyproject.toml."
    requires = [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in found.requires or ()]
    if "omnitrain-core" not in requires and name != "omnitrain-core":
        yield f"{name} does not require omnitrain-core: add it to 'dependencies' in its pyproject.toml."
    for package in sorted({examination.module.partition(".")[0], *_packages(examination)}):
        spec = find_spec(package)
        folders = list(spec.submodule_search_locations or []) if spec else []
        if folders and not (Path(folders[0]) / "py.typed").is_file():
            yield f"The package {package} has no file py.typed: add an empty one, so that its types are used."


def _packages(examination: Examination) -> set[str]:
    return {component.build.partition(":")[0].partition(".")[0] for component in examination.plugin.components}


def paper(examination: Examination) -> Iterator[str]:
    """A plugin names the paper that it implements."""
    if not examination.plugin.paper.strip():
        yield (
            "It names no paper: set Plugin.paper (such as 'arXiv 2205.05131'). A package that implements none declares "
            "the exception 'paper'; it is then not asked for claims, golden vectors and a recipe 'paper'."
        )
