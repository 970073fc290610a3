"""`omnitrain report`."""

from __future__ import annotations

from pathlib import Path

import click

from omnitrain.cli.output import note, say


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
def report(run_dir: Path) -> None:
    """Write the report page of a run, finished or not, and print its path.

    \b
    Example:
      omnitrain report runs/ul2-mini-20260101-120000
    """
    from omnitrain.report.page import write_page
    from omnitrain.runs.stored import StoredRun

    run = StoredRun(run_dir)
    path = write_page(run)
    for problem in run.problems:
        note(f"note: {problem}")
    say(str(path))
