"""`omnitrain doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from omnitrain.cli.output import emit_json, table
from omnitrain.errors import EnvironmentFault


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check python, libraries, devices, folders and plugins. Exit code 5 when something is broken.

    \b
    Example:
      omnitrain doctor --json
    """
    from omnitrain.cli.checks import check_all

    found = check_all()
    broken = any(finding.level == "broken" for finding in found)
    if as_json:
        emit_json({"healthy": not broken, "checks": [asdict(finding) for finding in found]})
    else:
        table(["check", "", "found", "advice"], [[f.name, f.level, f.value, f.advice] for f in found])
    if broken:
        ctx.exit(EnvironmentFault.exit_code)
