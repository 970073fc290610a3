"""`omnitrain report`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
def report(run_dir: Path) -> None:
    """Write the report page of a run, finished or not, and print its path.

    \b
    Example:
      omnitrain report runs/ul2-mini-20260101-120000
    """
    from omnitrain.report import write_report
    from omnitrain.runs import RunDirectory

    print(write_report(RunDirectory(run_dir)))
