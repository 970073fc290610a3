"""The summary of a finished run beside the files that it is made of, so that a list of many runs reads one file of each."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omnitrain.api.finished import EVALUATIONS
from omnitrain.api.shapes import ANY, DATE, TEXT, Each, Shape
from omnitrain.api.stored import read_as
from omnitrain.errors import Damaged

SUMMARY_FILE = "summary.json"
REPORT_FILE = "report.html"
_SHAPE: Shape = {
    "basis": Each(TEXT),
    "summary": {
        **dict.fromkeys(("recipe", "summary", "status"), TEXT),
        "created": DATE,
        "stages": [{"name": TEXT, "status": TEXT, "metrics": Each(ANY), "tables": [ANY]}],
        "problems": [TEXT],
    },
}


def to_be_kept(root: Path, summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a run's file holds; None for one that is not finished, or damaged, whose state is asked for each time.

    summary: of the run.
    """
    if summary["status"] != "finished" or summary["problems"]:
        return None
    kept = {key: value for key, value in summary.items() if key not in ("out", "report")}
    return {"basis": _basis(root, summary), "summary": kept}


def kept_summary(root: Path) -> dict[str, Any] | None:
    """Return the summary that a run wrote down, or None where it did not or something has changed since."""
    try:
        found = read_as(root / SUMMARY_FILE, _SHAPE, "remove it")
        place = str(root)
        if any(_state(f"{place}/{name}") != state for name, state in found["basis"].items()):
            return None
    except (FileNotFoundError, Damaged):
        return None
    head = {"out": place, "report": str(root / REPORT_FILE)}
    return {**found["summary"], **head}


def _basis(root: Path, summary: Mapping[str, Any]) -> dict[str, str]:
    """Return size and time of each file, and the time of each folder, that a summary is made of."""
    names = ["run.json", "metrics.jsonl"]
    for stage in summary["stages"]:
        folder = f"{stage['name']}/{EVALUATIONS}"
        names += [f"{stage['name']}/stage.json", folder]
        names += sorted(f"{folder}/{path.name}" for path in (root / folder).glob("*.json"))
    return {name: _state(f"{root}/{name}") for name in names}


def _state(place: str) -> str:
    try:
        found = os.stat(place)
    except (OSError, ValueError):  # or a damaged name, which no file has
        return "absent"
    return f"{'folder' if stat.S_ISDIR(found.st_mode) else found.st_size} {found.st_mtime_ns}"
