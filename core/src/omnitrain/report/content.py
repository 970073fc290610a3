"""Collect from a run directory what its page shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from omnitrain.api.shapes import TEXT, Each
from omnitrain.api.stored import check_shape
from omnitrain.errors import Damaged, OmnitrainError
from omnitrain.recipes.reading import read_text as read_yaml
from omnitrain.report.curves import chart, legend
from omnitrain.report.drawing import Chart
from omnitrain.runs.directory import LOCK_FILE
from omnitrain.runs.stored import StoredRun

TRAIN = "train"
MOST_PARTS = 8
_FIRST = ("loss",)
WATCHED = ("gradient_norm", "learning_rate", "skipped_updates")
_NO_METRIC = ("stage", "step", "split")


@dataclass(frozen=True)
class Setting:
    """One value of the locked recipe and where it was written."""

    key: str
    value: str
    origin: str


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def stage_charts(rows: list[dict[str, Any]], stage: str) -> list[Chart]:
    """Draw each metric of a stage that was measured at two steps or more; splits share the drawing of a metric.

    So do the trainings inside the stage, under their names, where they are few enough to be told apart.
    """
    parts = {name for row in rows if (name := str(row.get("stage", ""))).startswith(f"{stage}/")}
    names = {stage, *parts} if len(parts) <= MOST_PARTS else {stage}
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        if row.get("stage") not in names:
            continue
        label = _label(row, stage)
        for key, value in row.items():
            if key not in _NO_METRIC and _finite(value):
                found.setdefault(key, {}).setdefault(label, []).append((float(row["step"]), float(value)))
    drawn = {k: s for k, s in found.items() if len({x for points in s.values() for x, _ in points}) > 1}
    order = sorted(drawn, key=lambda k: (k not in _FIRST, k in WATCHED, list(found).index(k)))
    return [_metric_chart(key, drawn[key]) for key in order]


def _label(row: dict[str, Any], stage: str) -> str:
    """Return the split of a line, or "part" and "part valid" of a training inside the stage."""
    split, part = str(row.get("split", "")), row["stage"].removeprefix(stage).removeprefix("/")
    if not part:
        return split
    return part if split == TRAIN else f"{part} {split}"


def _metric_chart(key: str, splits: dict[str, list[tuple[float, float]]]) -> Chart:
    title = key.replace("_", " ")
    named = {split: sorted(points) if _ordered(points) else points for split, points in splits.items()}
    only = next(iter(named))
    shown = named if len(named) > 1 or only != TRAIN else {title: named[only]}
    return Chart(title, chart(shown, "step", ""), legend(list(named) if len(named) > 1 or only != TRAIN else []))


def _ordered(points: list[tuple[float, float]]) -> bool:
    return all(math.isfinite(x) and not math.isnan(y) for x, y in points)


def settings(run: StoredRun) -> list[Setting]:
    """Return every value of the lock file with its origin, stages by name; [] where it is damaged, which is told."""
    head, _, tail = run.lock_text().partition("# lock:\n")
    comment = "lock:\n" + "\n".join(line.removeprefix("# ") for line in tail.split("\n"))
    path = run.root / LOCK_FILE
    try:
        values = _mapping(read_yaml(head, str(path)).value)
        origins = _mapping(_mapping(read_yaml(comment, str(path), head.count("\n") + 1).value).get("lock"))
        check_shape(path, values, {"stages?": [{"name": TEXT}]}, "what it should hold is in run.json")
        check_shape(path, origins, {"origins?": Each(TEXT)}, "what it should hold is in run.json")
    except OmnitrainError as error:
        run.problems.append(str(error))
        return []
    names = [stage["name"] for stage in values.get("stages", [])]
    found = []
    for key, value in _leaves(values):
        parts = key.split(".")
        shown = ".".join([names[int(parts[1])], *parts[2:]]) if parts[0] == "stages" and len(parts) > 1 else key
        found.append(Setting(shown, _written(value), origins.get("origins", {}).get(key, "")))
    return found


def _mapping(value: Any) -> dict[str, Any]:
    """Return a mapping; nothing at all stands for an empty one.

    Raises Damaged for anything else.
    """
    if value is not None and not isinstance(value, dict):
        raise Damaged(f"{LOCK_FILE} is damaged: it holds {type(value).__name__} where a mapping belongs.")
    return value or {}


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None or not value:
        yield key, value
        return
    for name, item in items:
        yield from _leaves(item, f"{key}.{name}" if key else str(name))


def _written(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n...\n").strip()


def timings(run: StoredRun) -> dict[str, dict[str, Any]]:
    """Return the last line of timing.jsonl of each stage."""
    found: dict[str, dict[str, Any]] = {}
    for row in run.timings():
        found[row["stage"]] = {k: v for k, v in row.items() if k not in ("stage", "step")}
    return found


def events(run: StoredRun) -> list[dict[str, Any]]:
    """Return the run's events as {stage, event, details}."""
    skipped = ("stage", "event")
    return [
        {"stage": row["stage"], "event": row["event"], "details": {k: v for k, v in row.items() if k not in skipped}}
        for row in run.events()
    ]
