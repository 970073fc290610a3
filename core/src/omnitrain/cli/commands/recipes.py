"""`omnitrain recipes`."""

from __future__ import annotations

import click

from omnitrain.cli.names import plugin_or_recipe_names
from omnitrain.cli.output import emit_json, say, table
from omnitrain.plugins import installed


@click.command()
@click.argument("name", metavar="[PLUGIN|RECIPE]", required=False, shell_complete=plugin_or_recipe_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def recipes(name: str | None, as_json: bool) -> None:
    """List recipes, all or those of one PLUGIN, or print one RECIPE as a file that runs.

    \b
    Examples:
      omnitrain recipes ul2
      omnitrain recipes ul2/mini > my.yaml
    """
    registry = installed()
    if name is not None and ("/" in name or name.partition("#")[0].endswith((".yaml", ".yml"))):
        from omnitrain.recipes import read_recipe, written_out

        emit_json(read_recipe(name, registry)[1].value) if as_json else say(written_out(name, registry).rstrip("\n"))
        return
    chosen = registry.plugins.values() if name is None else [registry.plugin(name)]
    found = [{"address": f"{p.name}/{r.name}", "summary": r.summary} for p in chosen for r in p.recipes]
    if as_json:
        emit_json(found)
    else:
        table(["recipe", "summary"], [[r["address"], r["summary"]] for r in found])
