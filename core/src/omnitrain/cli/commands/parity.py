"""`omnitrain parity`."""

from __future__ import annotations

from pathlib import Path

import click

from omnitrain.cli.names import plugin_names
from omnitrain.cli.output import emit_json, say, table
from omnitrain.errors import EvidenceError
from omnitrain.plugins import installed


@click.command()
@click.argument("plugin", shell_complete=plugin_names)
@click.option("--vectors", type=click.Path(path_type=Path), metavar="DIR", help="Golden files. Default: the plugin's own.")
@click.option("--write-readme", is_flag=True, help="Write the table of golden files into the plugin's README.")
@click.option("--check-readme", is_flag=True, help="Exit code 6 unless the README's table fits.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def parity(
    ctx: click.Context, plugin: str, vectors: Path | None, write_readme: bool, check_readme: bool, as_json: bool
) -> None:
    """Run a plugin's code on inputs for which the official code's outputs are known, and compare. Exit code 6 on a difference.

    A file that reaches code which training does not use is named as such.

    \b
    Example:
      omnitrain parity ul2 --json
    """
    from omnitrain.evidence.parity import run_parity

    found = run_parity(plugin, installed(), vectors)
    if as_json:
        emit_json(found.json())
    else:
        rows = [[f.file, f.passed, f.failed, f.first_difference or "", f.test_only or ""] for f in found.files]
        table(["file", "passed", "failed", "first difference", "reaches test-only code"], rows)
        say(f"{found.passed} passed, {found.failed} failed ({found.vectors})")
    if write_readme or check_readme:
        from omnitrain.cli.readme import update_readme
        from omnitrain.report.markdown import parity_table

        command = f"omnitrain parity {plugin} --write-readme"
        update_readme(plugin, "parity", parity_table(plugin, found.json()), command, check_readme)
    if found.failed:
        ctx.exit(EvidenceError.exit_code)
