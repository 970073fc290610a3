"""`omnitrain runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from omnitrain.cli.output import emit_json, note, number, table

SHOWN_METRICS = 4
RUN_FILE = "run.json"
DAMAGED = "damaged"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="runs")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runs(folder: Path, as_json: bool) -> None:
    """List the run directories in FOLDER (./runs), the newest first; one that is damaged is listed as that.

    \b
    Example:
      omnitrain runs --json
    """
    places = [folder] if (folder / RUN_FILE).exists() else sorted(p for p in folder.glob("*") if (p / RUN_FILE).exists())
    found = [_summary(place) for place in places]
    found.sort(key=lambda run: run["created"], reverse=True)
    for problem in (problem for run in found for problem in run["problems"]):
        note(f"note: {problem}")
    if as_json:
        emit_json([run for run in found if run["recipe"]])  # what scripts take apart is whole; the rest is in the notes
    elif not found:
        note(f"{folder} holds no runs.")
    else:
        table(["run", "recipe", "created", "status", "stages", "last metrics"], [_row(run) for run in found])


def _summary(place: Path) -> dict[str, Any]:
    """Return what is known of a run; of one that can't be read, that and why."""
    from omnitrain.api.kept import kept_summary
    from omnitrain.errors import OmnitrainError

    kept = kept_summary(place)
    if kept is not None:
        return kept
    from omnitrain.report import summarise
    from omnitrain.runs import RunDirectory

    try:
        return summarise(RunDirectory(place))
    except OmnitrainError as error:
        unknown = dict.fromkeys(("recipe", "summary", "created", "report"), "")
        return {"out": str(place), **unknown, "status": DAMAGED, "stages": [], "problems": [str(error)]}


def _row(run: dict[str, Any]) -> list[Any]:
    stages = ", ".join(f"{s['name']} {s['status']}" for s in run["stages"])
    measured = [s["metrics"] for s in run["stages"] if s["metrics"]]
    last = list(measured[-1].items())[-SHOWN_METRICS:] if measured else []
    metrics = ", ".join(f"{name} {number(value)}" for name, value in last) or "; ".join(run["problems"])
    return [run["out"], run["recipe"], run["created"][:16].replace("T", " "), run["status"], stages, metrics]
