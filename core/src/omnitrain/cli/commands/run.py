"""`omnitrain run`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omnitrain.cli.names import recipe_names
from omnitrain.cli.output import emit_json, note, number, say, table
from omnitrain.cli.targets import default_out, is_run, target_recipe
from omnitrain.errors import OmnitrainError, Stopped
from omnitrain.masking import mask, masked

if TYPE_CHECKING:
    from omnitrain.recipes import ResolvedRecipe
    from omnitrain.runs import RunDirectory


@click.command()
@click.argument("target", metavar="RECIPE|FILE|RUN_DIR", shell_complete=recipe_names)
@click.argument("overrides", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), help="Run directory. Default: runs/<recipe>-<date>-<time>.")
@click.option("--force", is_flag=True, help="Go on in --out although settings differ; affected stages run again.")
@click.option("--dry-run", is_flag=True, help="Check everything that can be checked without training.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop with a checkpoint after that time.",
)
@click.option(
    "--tracker",
    "trackers",
    multiple=True,
    metavar="NAME",
    help="Send metrics to tensorboard, wandb, mlflow, another one that is installed, or none; may be given several times.",
)
def run(
    target: str,
    overrides: tuple[str, ...],
    out: Path | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    time_limit: float | None,
    trackers: tuple[str, ...],
) -> None:
    """Run a recipe with OVERRIDES of the form stage.key=value. A run directory is gone on with where it stopped.

    \b
    Examples:
      omnitrain run ul2/tiny --out runs/first
      omnitrain run ul2 pretrain.fit.steps=50 pretrain.fit.learning_rate=1e-3
      omnitrain run my.yaml --dry-run
      omnitrain run runs/first
    """
    recipe = target_recipe(target, list(overrides), resumes=out is None, force=force)
    place = out or (Path(target) if is_run(target) else default_out(recipe.address))
    if dry_run:
        _check(recipe, place, quiet, as_json)
        return
    if not quiet:
        note(f"run directory: {place}")
    options = {"force": force, "quiet": quiet, "time_limit_s": time_limit, "trackers": trackers or None}
    _execute(recipe, place, options, as_json)


def _check(recipe: ResolvedRecipe, out: Path, quiet: bool, as_json: bool) -> None:
    from omnitrain.cli.examples import show_examples
    from omnitrain.engine.dryrun import dry_run
    from omnitrain.plugins import installed

    found = dry_run(recipe, installed(), out, quiet)
    if as_json:
        emit_json(masked(found.json()))
    else:
        say(mask("\n".join(found.lines)))
        for stage in found.stages:
            if stage.examples:
                say()
                show_examples(stage.name, stage.examples)
    if found.error is not None:
        raise found.error


def _execute(recipe: ResolvedRecipe, out: Path, options: Mapping[str, Any], as_json: bool) -> None:
    from omnitrain.engine.execution import Options, run_recipe
    from omnitrain.report import summarise
    from omnitrain.runs import RunDirectory

    log = out / "run.log"
    logged = log.stat().st_size if log.exists() else 0
    try:
        folder = run_recipe(recipe, out, Options(**options), finished=_write_report)
    except Exception as error:
        if log.exists() and log.stat().st_size > logged:
            error.add_note(f"The traceback is in {log}.")
            if as_json and isinstance(error, OmnitrainError):
                emit_json(
                    {**_result(summarise(RunDirectory(out))), "status": "stopped" if isinstance(error, Stopped) else "failed"}
                )
        raise
    if int(os.environ.get("RANK", "0")) == 0:
        summary = _result(summarise(folder))
        emit_json(summary) if as_json else _show(summary)


def _result(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: summary[key] for key in ("out", "status", "stages", "report")}


def _show(summary: dict[str, Any]) -> None:
    rows: list[list[Any]] = []
    for stage in summary["stages"]:
        head = [stage["name"], stage["status"], f"{stage['seconds']:.1f}"]
        pairs = _shown_metrics(stage) or [("", None)]
        rows += [[*(head if i == 0 else ("", "", "")), name, number(value)] for i, (name, value) in enumerate(pairs)]
    table(["stage", "status", "seconds", "metric", "value"], rows)
    for stage in summary["stages"]:
        for entry in stage["tables"]:
            say(f"\n{stage['name']}: {entry['caption'] or entry['name']}")
            table(list(entry["columns"]), [[number(cell) for cell in row] for row in entry["rows"]])
    say()
    say(f"report: {summary['report']}")


def _shown_metrics(stage: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the metrics of a stage without those that its tables show."""
    tabled = tuple(f"{entry['evaluation']}/" for entry in stage["tables"])
    return [(name, value) for name, value in stage["metrics"].items() if not name.startswith(tabled)]


def _write_report(folder: RunDirectory) -> None:
    """Write the page; a page that can't be written is a remark, so that it never hides how the run itself ended."""
    from omnitrain.report import write_report

    try:
        write_report(folder)
    except Exception as error:
        note(f"note: the report could not be written ({type(error).__name__}: {error}); try 'omnitrain report {folder.root}'.")
