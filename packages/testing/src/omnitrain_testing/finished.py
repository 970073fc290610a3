"""Finished runs made of given numbers, to test the measures of claims without running anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omnitrain.api import FinishedRun, Metric
from omnitrain.api.finished import EVALUATIONS, evaluation_stem

Numbers = Mapping[str, float | Metric]


def finished_run(
    folder: Path,
    evaluations: Mapping[tuple[str, str], Numbers],
    *,
    lines: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    timings: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> FinishedRun:
    """Write a run directory whose stages finished and open it.

    evaluations: (stage, label of the evaluator) to its metrics. lines, timings: by stage; a line without a split is one of
    "train".
    """
    lines, timings = lines or {}, timings or {}
    stages = list(dict.fromkeys([*(stage for stage, _ in evaluations), *lines, *timings]))
    folder.mkdir(parents=True, exist_ok=True)
    recipe = {"stages": [{"name": stage} for stage in stages]}
    (folder / "run.json").write_text(json.dumps({"recipe": recipe}), "utf-8")
    for stage in stages:
        (folder / stage / EVALUATIONS).mkdir(parents=True, exist_ok=True)
        record = {"status": "finished", "fingerprint": "", "artifacts": {}, "seconds": 0.0, "code": {}}
        (folder / stage / "stage.json").write_text(json.dumps(record), "utf-8")
    for (stage, label), numbers in evaluations.items():
        metrics = {name: asdict(n if isinstance(n, Metric) else Metric(float(n), 1)) for name, n in numbers.items()}
        content = {"name": label, "step": None, "metrics": metrics, "tables": {}, "samples": {}}
        (folder / stage / EVALUATIONS / f"{evaluation_stem(label)}.json").write_text(json.dumps(content), "utf-8")
    _write(folder / "metrics.jsonl", lines, {"split": "train"})
    _write(folder / "timing.jsonl", timings, {})
    return FinishedRun(folder)


def _write(path: Path, rows: Mapping[str, Sequence[Mapping[str, Any]]], defaults: Mapping[str, Any]) -> None:
    lines = [
        json.dumps({"stage": stage, "step": step, **defaults, **row})
        for stage, found in rows.items()
        for step, row in enumerate(found)
    ]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
