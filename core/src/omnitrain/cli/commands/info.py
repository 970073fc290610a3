"""`omnitrain info`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from omnitrain.api.descriptors import Component, Plugin
from omnitrain.cli.names import any_names
from omnitrain.cli.output import emit_json, say, table
from omnitrain.errors import PluginError, UsageError, nearest
from omnitrain.plugins import Registry, installed


@click.command()
@click.argument("name", shell_complete=any_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(name: str, as_json: bool) -> None:
    """Describe a plugin, a component with all its settings, or a recipe with its comments.

    \b
    Example:
      omnitrain info core/fit
    """
    registry = installed()
    if "/" not in name:
        plugin = _healthy(name, registry)
        emit_json(_plugin(plugin, registry)) if as_json else _show_plugin(plugin)
        return
    plugin = _healthy(name.partition("/")[0], registry)
    components = [c for address, c in registry.components() if address == name]
    recipes = [f"{plugin.name}/{r.name}" for r in plugin.recipes]
    if not components and name not in recipes:
        known = [*recipes, *(f"{plugin.name}/{c.name}" for c in plugin.components)]
        raise UsageError(f"There is no component or recipe {name!r}. {nearest(name, known)}")
    found = [_component(name, c, registry) for c in components]
    if name in recipes:
        found.append(_recipe(name, registry))
    if as_json:
        emit_json(found[0] if len(found) == 1 else found)
        return
    for item in found:
        _show_item(item)


def _healthy(name: str, registry: Registry) -> Plugin:
    try:
        return registry.plugin(name)
    except PluginError as error:
        for state in registry.states:
            if state.name == name and state.trace:
                error.add_note(state.trace)
        raise


def _plugin(plugin: Plugin, registry: Registry) -> dict[str, Any]:
    state = next(s for s in registry.states if s.plugin is plugin)
    return {
        "name": plugin.name,
        "distribution": state.distribution,
        "version": state.version,
        "api": plugin.api,
        "summary": plugin.summary,
        "paper": plugin.paper,
        "links": dict(plugin.links),
        "components": [{"address": f"{plugin.name}/{c.name}", "kind": c.kind, "summary": c.summary} for c in plugin.components],
        "recipes": [{"address": f"{plugin.name}/{r.name}", "summary": r.summary} for r in plugin.recipes],
        "commands": [{"name": c.name, "summary": c.summary} for c in plugin.commands],
        "claims": [
            {
                "id": c.id,
                "statement": c.statement,
                "paper": {k: asdict(p) for k, p in c.paper.items()},
                "contrasts": [asdict(contrast) for contrast in c.contrasts],
            }
            for c in plugin.claims
        ],
    }


def _component(address: str, component: Component, registry: Registry) -> dict[str, Any]:
    from omnitrain.recipes.describing import settings_of

    settings = [asdict(s) for s in settings_of(registry.config_class(component))]
    return {"address": address, "kind": component.kind, "summary": component.summary, "settings": settings}


def _recipe(address: str, registry: Registry) -> dict[str, Any]:
    recipe, path = registry.recipe(address)
    row = recipe.path.partition("#")[2]
    found = {"address": address, "kind": "recipe", "summary": recipe.summary, "path": str(path)}
    return {**found, **({"variant": row} if row else {}), "text": path.read_text("utf-8")}


def _show_plugin(plugin: Plugin) -> None:
    say(f"{plugin.name}: {plugin.summary}")
    for line in (plugin.paper, *(f"{k}: {v}" for k, v in plugin.links.items())):
        if line:
            say(line)
    sections = (
        (["component", "kind", "summary"], [[f"{plugin.name}/{c.name}", c.kind, c.summary] for c in plugin.components]),
        (["recipe", "summary"], [[f"{plugin.name}/{r.name}", r.summary] for r in plugin.recipes]),
        (["claim", "statement"], [[c.id, c.statement] for c in plugin.claims]),
        (["command", "summary"], [[c.name, c.summary] for c in plugin.commands]),
    )
    for columns, rows in sections:
        if rows:
            say()
            table(columns, rows)


def _show_item(item: dict[str, Any]) -> None:
    say(f"{item['address']} ({item['kind']}): {item['summary']}")
    if "text" in item:
        place = "#".join(filter(None, (item["path"], item.get("variant"))))
        say(f"# {place}\n{item['text'].rstrip()}")
    elif item["settings"]:
        rows = [
            [s["key"], s["type"], "required" if s["default"] is None else s["default"], s["description"]]
            for s in item["settings"]
        ]
        table(["setting", "type", "default", "description"], rows)
    else:
        say("It has no settings.")
