"""Look up components and recipes of healthy plugins by address, with advice when they are not there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omnitrain.api.claims import Claim
from omnitrain.api.descriptors import Command, Component, Plugin, Recipe
from omnitrain.api.references import load_reference
from omnitrain.errors import OmnitrainError, PluginError, UsageError, nearest
from omnitrain.plugins.discovery import PluginState, discover, look_again


class Registry:
    """The installed plugins: states of all, contents of the healthy ones."""

    def __init__(self, states: Sequence[PluginState]) -> None:
        self._take(states)

    def _take(self, states: Sequence[PluginState]) -> None:
        self.states = tuple(states)
        self._healthy = {s.name: s for s in states if s.status == "ok"}

    @property
    def plugins(self) -> dict[str, Plugin]:
        """Healthy plugins by name."""
        return {name: self.plugin(name) for name in self._healthy}

    @property
    def commands(self) -> dict[str, tuple[Command, ...]]:
        """Commands of healthy plugins by the plugin's name."""
        return {name: state.commands for name, state in self._healthy.items()}

    def plugin(self, name: str) -> Plugin:
        """Return a healthy plugin.

        Raises PluginError with the reason when it is installed but not healthy, or with near names when it is not there.
        """
        if name not in self._healthy and any(s.name == name and s.remembered for s in self.states):
            self._take([look_again(s) if s.name == name else s for s in self.states])
        found = self._healthy[name].plugin if name in self._healthy else None
        if found is not None:
            return found
        for state in self.states:
            if state.name == name:
                raise PluginError(f"Plugin {name!r} ({state.distribution} {state.version}) is {state.status}: {state.reason}.")
        raise PluginError(
            f"No plugin named {name!r} is installed. {nearest(name, self._healthy)} "
            "'omnitrain plugins' lists what is installed."
        )

    def components(self, kind: str | None = None) -> Iterator[tuple[str, Component]]:
        """Yield (address, component) of every healthy plugin."""
        for name, plugin in self.plugins.items():
            for component in plugin.components:
                if kind is None or component.kind == kind:
                    yield f"{name}/{component.name}", component

    def component(self, address: str, kind: str) -> Component:
        """Return the component of that kind at "plugin/name".

        Raises PluginError when its plugin is not healthy, UsageError with the nearest names when there is none.
        """
        plugin_name, separator, name = address.partition("/")
        if not separator:
            raise UsageError(f"{address!r} is not a component; write 'plugin/name'. {nearest(address, self._addresses(kind))}")
        if plugin_name not in self._healthy and any(s.name == plugin_name for s in self.states):
            self.plugin(plugin_name)
        for candidate in self.plugin(plugin_name).components if plugin_name in self._healthy else ():
            if candidate.name == name and candidate.kind == kind:
                return candidate
        raise UsageError(f"There is no {kind} {address!r}. {nearest(address, self._addresses(kind))}")

    def _addresses(self, kind: str) -> list[str]:
        return [address for address, _ in self.components(kind)]

    def config_class(self, component: Component) -> type[Any]:
        """Import the strict config class of a component.

        Raises PluginError when it can't be imported or is no omnitrain.api.Config.
        """
        from omnitrain.api.config import Config

        found = self._import(component, component.config)
        if not isinstance(found, type) or not issubclass(found, Config):
            raise PluginError(
                f"The {component.kind} {component.name!r} names {component.config!r} as its config; "
                "that is no omnitrain.api.Config."
            )
        return found

    def builder(self, component: Component) -> Any:
        """Import the callable that builds a component (or runs a stage)."""
        return self._import(component, component.build)

    def predictor(self, component: Component) -> Any | None:
        """Import the callable that wraps a loaded model for evaluators, if there is one."""
        return None if component.predictor is None else self._import(component, component.predictor)

    def _import(self, component: Component, reference: str) -> Any:
        try:
            return load_reference(reference)
        except OmnitrainError:
            raise
        except (Exception, SystemExit) as error:  # whatever a plugin's module does at import, it is the plugin's fault
            advice = f" It needs {', '.join(component.needs)}." if component.needs else ""
            reason = f"{type(error).__name__}: {error}".rstrip(".")
            raise PluginError(f"The {component.kind} {component.name!r} could not be loaded: {reason}.{advice}") from error

    def recipe(self, address: str) -> tuple[Recipe, Path]:
        """Return a recipe and its file. "ul2" means "ul2/mini".

        Raises PluginError or UsageError as `component` does.
        """
        plugin_name, _, name = address.partition("/")
        plugin = self.plugin(plugin_name)
        wanted = name or "mini"
        for recipe in plugin.recipes:
            if recipe.name == wanted:
                return recipe, package_file(recipe.path.partition("#")[0])
        known = [f"{plugin_name}/{r.name}" for r in plugin.recipes]
        raise UsageError(f"There is no recipe '{plugin_name}/{wanted}'. {nearest(f'{plugin_name}/{wanted}', known)}")

    def claims(self, plugin_name: str) -> tuple[Claim, ...]:
        """Return the claims of a plugin."""
        return self.plugin(plugin_name).claims


def package_file(location: str) -> Path:
    """Return the path that "package:relative/path" names, importing the parents of the package only.

    Raises PluginError when it is not there.
    """
    package, _, relative = location.partition(":")
    try:
        spec = find_spec(package)
    except (ImportError, ValueError, AttributeError):  # a parent of it is not there, or is no package
        spec = None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        candidate = Path(folder) / relative
        if candidate.exists():
            return candidate
    raise PluginError(f"{location!r} is not there: package {package!r} holds no {relative!r}; reinstall it.")


@cache
def installed(afresh: bool = False) -> Registry:
    """Return the registry of this environment, found once per process. afresh: see `discover`.

    Raises PluginError for the first unhealthy plugin where OMNITRAIN_STRICT is set to 1.
    """
    registry = Registry(discover(afresh))
    if os.environ.get("OMNITRAIN_STRICT") == "1":
        for state in registry.states:
            if state.status not in ("ok", "disabled"):
                registry.plugin(state.name)
                raise PluginError(f"Plugin {state.name!r} from {state.distribution} is {state.status}: {state.reason}.")
    return registry
