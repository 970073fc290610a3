"""`omnitrain compare`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from omnitrain.cli.output import emit_json, note, say, table
from omnitrain.errors import EnvironmentFault, UsageError

ABSENT = "\u2013"


@click.command()
@click.argument("runs", nargs=-1, metavar="RUN_DIR RUN_DIR ...", type=click.Path(path_type=Path, file_okay=False))
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write a page with curves.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, curves included.")
def compare(runs: tuple[Path, ...], html: Path | None, as_json: bool) -> None:
    """Put runs side by side: the settings that differ and the last value of each metric.

    \b
    Examples:
      omnitrain compare runs/first runs/second
      omnitrain compare runs/* --html comparison.html
    """
    if len(runs) < 2:
        raise UsageError(f"Expected at least two run directories, got {len(runs)}.")
    from omnitrain.report.comparison import compare_runs, write_comparison
    from omnitrain.runs import RunDirectory

    content = compare_runs([RunDirectory(run) for run in runs])
    if html is not None:
        if not html.parent.is_dir():
            raise EnvironmentFault(f"{html} can't be written: the folder {html.parent} is not there.")
        write_comparison(html, content)
        note(f"page: {html}")
    for problem in content["problems"]:
        note(f"note: {problem}")
    emit_json(content) if as_json else _show(content)


def _show(content: Mapping[str, Any]) -> None:
    names = [run["name"] for run in content["runs"]]
    rows = [
        [run["name"], run["recipe"], run["status"], run["created"][:16].replace("T", " "), run["seconds"]]
        for run in content["runs"]
    ]
    table(["run", "recipe", "status", "started (UTC)", "seconds"], rows)
    say()
    settings = [[s["key"], *(_written(s["values"], name) for name in names)] for s in content["settings"]]
    if settings:
        table(["setting", *names], settings)
    else:
        say("All settings are the same.")
    say()
    metrics = [[m["stage"], m["metric"], *(m["values"].get(name) for name in names)] for m in content["metrics"]]
    table(["stage", "metric", *names], metrics)


def _written(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return ABSENT
    value = values[name]
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
