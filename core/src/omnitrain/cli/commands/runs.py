"""`omnitrain runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from omnitrain.cli.output import emit_json, note, number, table

SHOWN_METRICS = 4


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="runs")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runs(folder: Path, as_json: bool) -> None:
    """List the run directories in FOLDER (./runs), the newest first.

    \b
    Example:
      omnitrain runs --json
    """
    from omnitrain.errors import OmnitrainError
    from omnitrain.report import summarise
    from omnitrain.runs import RunDirectory

    found: list[dict[str, Any]] = []
    places = [folder] if (folder / "run.json").exists() else sorted(p for p in folder.glob("*") if p.is_dir())
    for place in places:
        if not (place / "run.json").exists():
            continue
        try:
            found.append(summarise(RunDirectory(place)))
        except (OmnitrainError, KeyError, TypeError, ValueError) as error:
            note(f"note: {place} can't be read: {error}")
    found.sort(key=lambda run: run["created"], reverse=True)
    if as_json:
        emit_json(found)
    elif not found:
        note(f"{folder} holds no runs.")
    else:
        table(["run", "recipe", "created", "status", "stages", "last metrics"], [_row(run) for run in found])


def _row(run: dict[str, Any]) -> list[Any]:
    stages = ", ".join(f"{s['name']} {s['status']}" for s in run["stages"])
    measured = [s["metrics"] for s in run["stages"] if s["metrics"]]
    last = list(measured[-1].items())[-SHOWN_METRICS:] if measured else []
    metrics = ", ".join(f"{name} {number(value)}" for name, value in last)
    return [run["out"], run["recipe"], run["created"][:16].replace("T", " "), run["status"], stages, metrics]
