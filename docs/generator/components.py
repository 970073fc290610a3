"""The reference of what plugins hold, from their descriptions and the configs of their components."""

from __future__ import annotations

from marks import code, plain, table

from omnitrain.api.descriptors import Component, Plugin
from omnitrain.plugins import installed
from omnitrain.recipes.describing import settings_of


def plugins_with_components() -> list[str]:
    """Name the healthy plugins that have a page: those with components."""
    return [name for name, plugin in installed().plugins.items() if plugin.components]


def components_index() -> str:
    """Return the list of all components, each with a link to its settings."""
    parts = []
    for name in plugins_with_components():
        plugin = installed().plugin(name)
        rows = [
            (f"[{code(f'{name}/{c.name}')}](components/{name}.md#{anchor(c)})", c.kind, plain(c.summary))
            for c in plugin.components
        ]
        parts += [f"## {name}", plain(plugin.summary), table(["component", "kind", "what it is"], rows)]
    return "\n\n".join(parts)


def plugin_page(name: str) -> str:
    """Return a plugin's page: recipes, claims, and every component with its settings."""
    plugin = installed().plugin(name)
    parts = [f"# {name}", plain(plugin.summary), plain(plugin.paper), *_overview(plugin)]
    parts += [_section(name, component) for component in plugin.components]
    return "\n\n".join(part for part in parts if part) + "\n"


def anchor(component: Component) -> str:
    """Return the anchor of a component's section; two kinds may share a name."""
    return f"{component.kind}-{component.name}"


def _overview(plugin: Plugin) -> list[str]:
    recipes = [(code(f"{plugin.name}/{r.name}"), plain(r.summary)) for r in plugin.recipes]
    claims = [(c.id, plain(c.statement)) for c in plugin.claims]
    return [table(["recipe", "what it is"], recipes), table(["claim", "statement"], claims)]


def _section(name: str, component: Component) -> str:
    settings = list(settings_of(installed().config_class(component)))
    rows = [(code(s.key), code(s.type), _default(s.default), plain(s.description)) for s in settings]
    title = f"## {name}/{component.name} {{ #{anchor(component)} }}"
    listed = table(["setting", "type", "default", "meaning"], rows) or "It has no settings."
    return "\n\n".join([title, f"**{component.kind}:** {plain(component.summary)}", listed])


def _default(default: str | None) -> str:
    return "required" if default is None else code(default)
