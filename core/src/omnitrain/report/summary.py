"""The state of a run and its last metrics, as plain values."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from omnitrain.report.content import evaluations
from omnitrain.runs import RunDirectory, read_records

REPORT_FILE = "report.html"
_NO_METRIC = ("stage", "step", "split")


def summarise(folder: RunDirectory) -> dict[str, Any]:
    """Return {out, recipe, summary, created, status, stages: [{name, status, seconds, metrics, tables}], report}.

    status of the run: "finished", "running" (another process works on it) or "unfinished"; of a stage also "waiting".
    metrics: the last value of each, by "split/name".
    Raises EnvironmentFault when the folder is not a run.
    """
    record = folder.record
    rows = read_records(folder.metrics.path)
    running = in_use(folder.root)
    stages = [_stage(folder, stage["name"], rows, running) for stage in record["recipe"]["stages"]]
    finished = all(stage["status"] == "finished" for stage in stages)
    return {
        "out": str(folder.root),
        "recipe": record["address"],
        "summary": record["summary"],
        "created": record["created"],
        "status": "finished" if finished else "running" if running else "unfinished",
        "stages": stages,
        "report": str(folder.root / REPORT_FILE),
    }


def _stage(folder: RunDirectory, name: str, rows: list[dict[str, Any]], running: bool) -> dict[str, Any]:
    stored = folder.stage_record(name)
    if stored is None:
        status = "waiting"
    elif stored.status == "finished":
        status = "finished"
    else:
        status = "running" if running else "unfinished"
    seconds = stored.seconds if stored is not None else 0.0
    tables = [
        {"evaluation": found["name"], "name": title, **table}
        for found in evaluations(folder, name)
        for title, table in found["tables"].items()
    ]
    metrics = last_metrics(rows, name)
    return {"name": name, "status": status, "seconds": round(seconds, 3), "metrics": metrics, "tables": tables}


def last_metrics(rows: list[dict[str, Any]], stage: str) -> dict[str, float]:
    """Return the last value of each metric of a stage by "split/name"."""
    found: dict[str, float] = {}
    for row in rows:
        if row.get("stage") == stage:
            found.update({f"{row.get('split', '')}/{k}": v for k, v in row.items() if k not in _NO_METRIC})
    return found


def in_use(root: Path) -> bool:
    """Whether another process works on the run. Asked by the process that does, the answer is no: it is at its end."""
    try:
        with open(root / ".lock", encoding="utf-8") as file:
            if file.read().strip() == str(os.getpid()):
                return False
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
