"""The page of a run: one HTML file that needs nothing else, no script and no network."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from omnitrain import __version__
from omnitrain.api.kept import REPORT_FILE, SUMMARY_FILE, to_be_kept
from omnitrain.report import content
from omnitrain.report.drawing import figures
from omnitrain.report.rendering import render_page
from omnitrain.report.summary import summarise
from omnitrain.runs import RunDirectory
from omnitrain.runs.files import write_json, write_whole
from omnitrain.runs.stored import StoredRun

MOST_SAMPLES = 12
MOST_EVENTS = 200
MOST_ROWS = 500
MOST_CHARTS = 6
MOST_TABLES = 3
# Tables of more metrics than this are folded.
MOST_METRICS = 12
ARROWS = {"higher": "\u2191 higher is better", "lower": "\u2193 lower is better", "none": ""}


def write_report(folder: RunDirectory) -> Path:
    """Write report.html into a run directory, whole or not at all, and return its path. The run may be unfinished.

    Raises EnvironmentFault when the folder is not a run or can't be written.
    """
    return write_page(StoredRun(folder.root))


def write_page(run: StoredRun) -> Path:
    """Write the page of a run that is opened for reading; see `write_report`. What is damaged is in its problems."""
    path = run.root / REPORT_FILE
    summary = summarise(run)
    write_whole(path, render_page("report.html.jinja", page=_page(run, summary)))
    kept = to_be_kept(run.root, summary)
    if kept is not None:
        write_json(run.root / SUMMARY_FILE, kept)
    return path


def _page(run: StoredRun, summary: dict[str, Any]) -> dict[str, Any]:
    record = run.record
    timing = content.timings(run)
    stages = [_stage(run, stage, timing.get(stage["name"], {})) for stage in summary["stages"]]
    found = content.events(run)
    settings = content.settings(run)
    return {
        **summary,
        "problems": run.problems,
        "name": run.root.resolve().name,
        "created": datetime.datetime.fromisoformat(summary["created"]).strftime("%-d %b %Y %H:%M"),
        "seed": record["recipe"].get("seed", 0),
        "seconds": sum(stage["seconds"] for stage in stages),
        "stages": stages,
        "results": _in_order([evaluation for stage in stages for evaluation in stage["evaluations"]]),
        "settings": settings,
        "environment": record["environment"],
        "events": found[-MOST_EVENTS:],
        "events_left_out": max(len(found) - MOST_EVENTS, 0),
        "most_samples": MOST_SAMPLES,
        "most_rows": MOST_ROWS,
        "most_charts": MOST_CHARTS,
        "most_tables": MOST_TABLES,
        "most_metrics": MOST_METRICS,
        "version": __version__,
    }


def _stage(run: StoredRun, stage: dict[str, Any], timing: dict[str, Any]) -> dict[str, Any]:
    name = stage["name"]
    place = run.evaluation_folder(name)
    measured = run.evaluations(name)
    known = run.stage(name)
    return {
        **stage,
        "logged": _logged(stage["metrics"], measured),
        "charts": content.stage_charts(run.metrics(), name),
        "evaluations": [_shown(evaluation, name, place) for evaluation in measured],
        "artifacts": known.artifacts if known is not None else {},
        "timing": timing,
    }


def _shown(evaluation: dict[str, Any], stage: str, place: Path) -> dict[str, Any]:
    metrics = [
        {"name": name, **metric, "arrow": ARROWS.get(metric["direction"], "")} for name, metric in evaluation["metrics"].items()
    ]
    return {
        "stage": stage,
        "name": evaluation["name"],
        "step": evaluation["step"],
        "metrics": metrics,
        "tables": evaluation["tables"],
        "samples": evaluation["samples"],
        "figures": list(figures(evaluation, place)),
    }


def _in_order(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return first what has figures, then what has tables, then what has numbers or samples only.

    Evaluations of nothing are left out.
    """
    shown = [e for e in evaluations if any(e[part] for part in ("metrics", "tables", "samples", "figures"))]
    return sorted(shown, key=lambda e: 0 if e["figures"] else 1 if e["tables"] else 2)


def _logged(metrics: dict[str, float], measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last logged metrics that are results: not what an evaluation says better, nor what training is watched by."""
    known = {name for evaluation in measured for name in evaluation["metrics"]} - {"loss"}
    known |= {f"{evaluation['name']}/{name}" for evaluation in measured for name in evaluation["metrics"]}
    empty = {"n": None, "interval": None, "unit": "", "arrow": ""}
    return [
        {"name": name, "value": value, **empty}
        for name, value in metrics.items()
        if name not in known and name.partition("/")[2] not in (*known, *content.WATCHED)
    ]
