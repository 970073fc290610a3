"""Completion of names in the shell."""

from __future__ import annotations

import click


def recipe_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete recipes."""
    from omnitrain.plugins import installed

    known = [f"{p.name}/{r.name}" for p in installed().plugins.values() for r in p.recipes]
    return [name for name in known if name.startswith(incomplete)]


def plugin_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete plugins."""
    from omnitrain.plugins import installed

    return [name for name in installed().plugins if name.startswith(incomplete)]


def plugin_or_recipe_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete plugins and recipes."""
    return [*plugin_names(ctx, param, incomplete), *recipe_names(ctx, param, incomplete)]


def component_names(kind: str | None = None) -> list[str]:
    """Name the components of a kind, or all."""
    from omnitrain.plugins import installed

    return [address for address, _ in installed().components(kind)]


def evaluator_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete evaluators."""
    return [name for name in component_names("evaluator") if name.startswith(incomplete)]


def data_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete data components."""
    return [name for name in component_names("data") if name.startswith(incomplete)]


def any_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete plugins, components and recipes."""
    known = [*plugin_names(ctx, param, ""), *component_names(), *recipe_names(ctx, param, "")]
    return sorted({name for name in known if name.startswith(incomplete)})
