"""`omnitrain plugins`."""

from __future__ import annotations

from typing import Any

import click

from omnitrain.cli.output import emit_json, note, table
from omnitrain.plugins import PluginState, installed


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plugins(as_json: bool) -> None:
    """List the installed plugins, healthy or why not. A broken one never stops the others.

    \b
    Example:
      omnitrain plugins --json
    """
    states = installed(afresh=True).states
    if as_json:
        emit_json([entry(state) for state in states])
    else:
        columns = ["name", "distribution", "version", "api", "status", "components", "recipes", "reason"]
        table(columns, [_row(state) for state in states])
    for state in states:
        if state.printed.strip():
            note(f"note: {state.name} printed {state.characters} characters while it was imported; they were swallowed.")


def entry(state: PluginState) -> dict[str, Any]:
    """Return what scripts get to know of a plugin."""
    held = state.plugin.components if state.plugin else ()
    offered = state.plugin.recipes if state.plugin else ()
    return {
        "name": state.name,
        "distribution": state.distribution,
        "version": state.version,
        "api": state.api,
        "status": state.status,
        "reason": state.reason,
        "components": [{"address": f"{state.name}/{c.name}", "kind": c.kind, "summary": c.summary} for c in held],
        "recipes": [{"address": f"{state.name}/{r.name}", "summary": r.summary} for r in offered],
    }


def _row(state: PluginState) -> list[Any]:
    plugin = state.plugin
    held, offered = (len(plugin.components), len(plugin.recipes)) if plugin else (None, None)
    return [state.name, state.distribution, state.version, state.api, state.status, held, offered, state.reason]
