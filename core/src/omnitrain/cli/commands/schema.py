"""`omnitrain schema`."""

from __future__ import annotations

import click

from omnitrain.cli.names import any_names
from omnitrain.cli.output import emit_json


@click.command()
@click.argument("name", metavar="RECIPE|COMPONENT", shell_complete=any_names)
@click.option(
    "--kind", type=click.Choice(["data", "model", "objective", "evaluator", "stage"]), help="Which component of that name."
)
def schema(name: str, kind: str | None) -> None:
    """Print the JSON Schema of a recipe's files or of a component's settings.

    \b
    Example:
      omnitrain schema ul2/mini > ul2.schema.json
    """
    from omnitrain.plugins import installed
    from omnitrain.recipes import load_recipe
    from omnitrain.recipes.schema import component_schema, recipe_schema

    registry = installed()
    kinds = [c.kind for address, c in registry.components() if address == name and kind in (None, c.kind)]
    if len(kinds) > 1:
        raise click.UsageError(f"{name!r} names {' and '.join(kinds)}; add --kind.")
    if kind is not None or kinds:
        emit_json(component_schema(name, kind or kinds[0], registry))
    else:
        emit_json(recipe_schema(load_recipe(name, [], registry), registry))
