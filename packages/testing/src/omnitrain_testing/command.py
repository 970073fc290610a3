"""`omnitrain check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from omnitrain.errors import EvidenceError

if TYPE_CHECKING:
    from omnitrain_testing.findings import Result

MARKS = {"passed": "ok", "failed": "FAILED", "excepted": "excepted"}


@click.command()
@click.argument("plugin")
@click.option("--only", metavar="TEXT", help="Only the checks whose name contains TEXT.")
@click.option("--golden", type=click.Path(path_type=Path), metavar="DIR", help="Golden files. Default: the plugin's own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(ctx: click.Context, plugin: str, only: str | None, golden: Path | None, as_json: bool) -> None:
    """Check a plugin against the contract that every plugin holds to. Exit code 6 if a check fails.

    \b
    Example:
      omnitrain check ul2 --json
    """
    from omnitrain_testing.collecting import checks_of
    from omnitrain_testing.declaration import Declaration
    from omnitrain_testing.examination import Examination
    from omnitrain_testing.findings import carry_out

    examination = Examination(Declaration(plugin, golden=golden))
    results: list[Result] = []
    try:
        chosen = [c for c in checks_of(examination) if only is None or only in c.name]
        if not chosen:
            raise click.UsageError(f"No check of {plugin} has {only!r} in its name.")
        for one in chosen:
            results.append(carry_out(one, examination))
            if not as_json:
                _show(results[-1])
    finally:
        examination.close()
    counts = {status: sum(r.status == status for r in results) for status in MARKS}
    if as_json:
        click.echo(json.dumps({"plugin": plugin, **counts, "checks": [r.json() for r in results]}, indent=2))
    else:
        click.echo(f"{counts['passed']} passed, {counts['failed']} failed, {counts['excepted']} excepted")
    if counts["failed"]:
        ctx.exit(EvidenceError.exit_code)


def _show(result: Result) -> None:
    click.echo(f"{MARKS[result.status]:<9} {result.name}{f'  ({result.reason})' if result.reason else ''}")
    for problem in result.problems:
        click.echo(f"          {problem}")
    for note in result.notes:
        click.echo(f"          note: {note}")
