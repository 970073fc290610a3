"""The state of a run and its last metrics, as plain values."""

from __future__ import annotations

from typing import Any

from omnitrain.api.kept import REPORT_FILE
from omnitrain.runs import RunDirectory
from omnitrain.runs.stored import DAMAGED, StoredRun, in_use

_NO_METRIC = ("stage", "step", "split")


def summarise(folder: RunDirectory | StoredRun) -> dict[str, Any]:
    """Return {out, recipe, summary, created, status, stages: [{name, status, seconds, metrics, tables}], report, problems}.

    status of the run: "finished", "running" (another process works on it), "unfinished" or "damaged"; of a stage also
    "waiting". metrics: the last value of each, by "split/name". problems: a sentence on each file or line that is damaged.
    Raises EnvironmentFault when the folder is not a run.
    """
    run = folder if isinstance(folder, StoredRun) else StoredRun(folder.root)
    running = in_use(run.root)
    stages = [_stage(run, name, running) for name in run.stages]
    statuses = {stage["status"] for stage in stages}
    status = "finished" if statuses <= {"finished"} else DAMAGED if DAMAGED in statuses else "unfinished"
    return {
        "out": str(run.root),
        "recipe": run.record["address"],
        "summary": run.record["summary"],
        "created": run.record["created"],
        "status": "running" if running and status == "unfinished" else status,
        "stages": stages,
        "report": str(run.root / REPORT_FILE),
        "problems": list(run.problems),
    }


def _stage(run: StoredRun, name: str, running: bool) -> dict[str, Any]:
    stored = run.stage(name)
    seconds = stored.seconds if stored is not None else 0.0
    tables = [
        {"evaluation": found["name"], "name": title, **table}
        for found in run.evaluations(name)
        for title, table in found["tables"].items()
    ]
    metrics = last_metrics(run.metrics(), name)
    return {
        "name": name,
        "status": run.status(name, running),
        "seconds": round(seconds, 3),
        "metrics": metrics,
        "tables": tables,
    }


def last_metrics(rows: list[dict[str, Any]], stage: str) -> dict[str, float]:
    """Return the last value of each metric of a stage by "split/name"."""
    found: dict[str, float] = {}
    for row in rows:
        if row.get("stage") == stage:
            found.update({f"{row.get('split', '')}/{k}": v for k, v in row.items() if k not in _NO_METRIC})
    return found
