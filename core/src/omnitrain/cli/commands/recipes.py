"""`omnitrain recipes`."""

from __future__ import annotations

import click

from omnitrain.cli.names import plugin_names
from omnitrain.cli.output import emit_json, table
from omnitrain.plugins import installed


@click.command()
@click.argument("plugin", required=False, shell_complete=plugin_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def recipes(plugin: str | None, as_json: bool) -> None:
    """List recipes, all or those of one PLUGIN.

    \b
    Example:
      omnitrain recipes ul2
    """
    registry = installed()
    chosen = registry.plugins.values() if plugin is None else [registry.plugin(plugin)]
    found = [{"address": f"{p.name}/{r.name}", "summary": r.summary} for p in chosen for r in p.recipes]
    if as_json:
        emit_json(found)
    else:
        table(["recipe", "summary"], [[r["address"], r["summary"]] for r in found])
