"""The plugins that installed distributions name in their entry points. Listing them imports nothing of theirs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from omnitrain.plugins.describing import PLUGIN_NAME
from omnitrain.plugins.memory import Memory
from omnitrain.plugins.stamps import Stamps, location, stamps, working_folder

if TYPE_CHECKING:
    from importlib.metadata import Distribution

GROUP = "omnitrain.plugins"
_METADATA = (".dist-info", ".egg-info")
_BAD_NAME = "its name can't be part of an address; expected letters, digits, - and _"


@dataclass(frozen=True)
class Found:
    """One entry point with its distribution. module: what describes the plugin. fault: why it can't be read."""

    name: str
    distribution: str
    version: str
    module: str = ""
    fault: str = ""

    @property
    def key(self) -> str:
        """What its answer is remembered under."""
        return "\n".join((self.name, self.distribution, self.version, self.module, location(self.module)))


def normal(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find(memory: Memory) -> list[Found]:
    """Return the entry points of all distributions, in order of name. Of two distributions of one name the first counts."""
    key = json.dumps(["listing", working_folder(), sys.path])
    held = memory.recall(key)
    if held is not None:
        return [Found(*fields) for fields in held["found"]]
    rests_on = _rests_on()
    found = _read()
    if rests_on is not None:
        memory.keep({key: {"found": [astuple(point) for point in found], "stamps": rests_on}})
    return found


def _rests_on() -> Stamps | None:
    """Return the folders of sys.path and the metadata in them, or None where distributions may come from elsewhere."""
    usual = {"PathFinder", "BuiltinImporter", "FrozenImporter"}
    if any(hasattr(f, "find_distributions") and getattr(f, "__name__", "") not in usual for f in sys.meta_path):
        return None
    paths: list[str] = []
    for folder in sys.path:
        folder = folder or "."
        paths.append(folder)
        try:
            names = os.listdir(folder) if os.path.isdir(folder) else []
        except OSError:
            continue
        for name in names:
            if name.endswith(_METADATA):
                place = os.path.join(folder, name)
                paths += [place, os.path.join(place, "entry_points.txt")]
    return stamps(paths)


def _read() -> list[Found]:
    from importlib.metadata import distributions

    found: dict[tuple[str, str, str], Found] = {}
    first: dict[str, Distribution] = {}
    for distribution in distributions():
        for point in _points(distribution):
            if first.setdefault(normal(point.distribution), distribution) is distribution or point.distribution == "?":
                found.setdefault((point.name, point.distribution, point.module), point)
    return [point for _, point in sorted(found.items())]


def _points(distribution: Distribution) -> Iterator[Found]:
    """Yield the plugins of one distribution, whatever state its files are in."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
        if GROUP not in text:
            return
        metadata = distribution.metadata
        name, version = str(metadata["Name"] or "?"), str(metadata["Version"] or "?")
    except (OSError, ValueError):  # what is no text names no plugin
        return
    try:
        points = [point for point in distribution.entry_points if point.group == GROUP]
    except (TypeError, ValueError) as error:
        yield Found(name, name, version, fault=f"its entry_points.txt is damaged: {error}")
        return
    for point in points:
        fault = "" if PLUGIN_NAME.fullmatch(point.name) else _BAD_NAME
        yield Found(point.name, name, version, point.value.partition(":")[0].strip(), fault)
