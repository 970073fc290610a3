"""`omnitrain parity`."""

from __future__ import annotations

from pathlib import Path

import click

from omnitrain.cli.names import plugin_names
from omnitrain.cli.output import emit_json, table
from omnitrain.errors import EvidenceError
from omnitrain.plugins import installed


@click.command()
@click.argument("plugin", shell_complete=plugin_names)
@click.option("--vectors", type=click.Path(path_type=Path), metavar="DIR", help="Golden files. Default: the plugin's own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def parity(ctx: click.Context, plugin: str, vectors: Path | None, as_json: bool) -> None:
    """Run a plugin's code on inputs for which the official code's outputs are known, and compare. Exit code 6 on a difference.

    \b
    Example:
      omnitrain parity ul2 --json
    """
    from omnitrain.evidence.parity import run_parity

    found = run_parity(plugin, installed(), vectors)
    if as_json:
        emit_json(found.json())
    else:
        rows = [[f.file, f.passed, f.failed, f.first_difference or ""] for f in found.files]
        table(["file", "passed", "failed", "first difference"], rows)
        print(f"{found.passed} passed, {found.failed} failed ({found.vectors})")
    if found.failed:
        ctx.exit(EvidenceError.exit_code)
