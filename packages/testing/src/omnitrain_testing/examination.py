"""What the checks of one plugin share: its description, its tiny recipe, the runs of it, a folder to work in."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import Distribution, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlparse

from omnitrain.api import Component, Plugin
from omnitrain.errors import OmnitrainError, PluginError
from omnitrain.plugins import PluginState, Registry, discover
from omnitrain.recipes import ResolvedRecipe, load_recipe
from omnitrain_testing.declaration import Declaration, with_file
from omnitrain_testing.workers import Workers

T = TypeVar("T")


class Examination:
    """One plugin under examination. Making it imports descriptions and configs only; runs happen when a check asks.

    Raises PluginError when no plugin of that name is installed, UsageError for a malformed contract.yaml.
    """

    def __init__(self, declared: Declaration, workers: Workers | None = None) -> None:
        self.registry = Registry(discover())
        found = [state for state in self.registry.states if state.name == declared.plugin]
        if not found:
            self.registry.plugin(declared.plugin)
        self.state: PluginState = next((s for s in found if s.status == "ok"), found[0])
        self.duplicates = [state for state in found if state is not self.state]
        healthy = self.state.plugin is not None
        self.declared = with_file(declared, self.plugin, self.package) if healthy else declared
        self._workers = workers
        self._own_workers: Workers | None = None
        self._made: dict[str, Any] = {}
        self.loaded: dict[str, list[str] | str] | None = None

    @property
    def plugin(self) -> Plugin:
        """The plugin's description.

        Raises PluginError when it is not healthy.
        """
        if self.state.plugin is None:
            raise PluginError(f"Plugin {self.state.name!r} is {self.state.status}: {self.state.reason}.")
        return self.state.plugin

    @property
    def implements_paper(self) -> bool:
        """False for a package that is excepted from naming a paper: it is not asked for claims and golden vectors."""
        return bool(self.plugin.paper) or "paper" not in self.declared.exceptions

    @cached_property
    def distribution(self) -> Distribution:
        """The installed distribution that the plugin comes from."""
        return distribution(self.state.distribution)

    @cached_property
    def module(self) -> str:
        """The module that describes the plugin."""
        points = self.distribution.entry_points.select(group="omnitrain.plugins", name=self.state.name)
        return next(iter(points)).value.partition(":")[0]

    @cached_property
    def package(self) -> Path | None:
        """The folder of the plugin's top-level package."""
        spec = find_spec(self.module.partition(".")[0])
        folders = list(spec.submodule_search_locations or []) if spec else []
        return Path(folders[0]) if folders else None

    @cached_property
    def checkout(self) -> Path | None:
        """The folder that an editable installation points to."""
        text = self.distribution.read_text("direct_url.json")
        url = json.loads(text).get("url", "") if text else ""
        folder = Path(unquote(urlparse(url).path)) if url.startswith("file:") else None
        return folder if folder is not None and folder.is_dir() else None

    @cached_property
    def scratch(self) -> Path:
        """A temporary folder; removed by `close`."""
        return Path(tempfile.mkdtemp(prefix="omnitrain-contract-"))

    @cached_property
    def cache(self) -> Path:
        """Where data keeps its slow work; new for every examination."""
        folder = self.scratch / "cache"
        folder.mkdir()
        return folder

    @cached_property
    def tiny(self) -> ResolvedRecipe | None:
        """The recipe `tiny`, or None where there is none that can be read; the recipe's own check says why."""
        try:
            return load_recipe(f"{self.state.name}/tiny", registry=self.registry)
        except OmnitrainError:
            return None

    def address(self, component: Component) -> str:
        """Return "plugin/name", with the kind in front where a name stands for components of several kinds."""
        address = f"{self.plugin.name}/{component.name}"
        same = [c for c in self.plugin.components if c.name == component.name]
        return address if len(same) == 1 else f"{component.kind} {address}"

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` gives, made at the first call of that name."""
        if name not in self._made:
            self._made[name] = make()
        found: T = self._made[name]
        return found

    def ask(self, number: int, action: str, recipe: str, **more: Any) -> dict[str, Any]:
        """Have a worker run or dry-run a recipe; see `Workers.ask`."""
        workers = self._workers or self._own_workers
        if workers is None:
            modules = {c.build.partition(":")[0] for c in self.plugin.components}
            workers = self._own_workers = Workers(sorted(modules))
        return workers.ask(number, {"action": action, "recipe": recipe, **more}, self.scratch, self.cache)

    @cached_property
    def first_run(self) -> dict[str, Any]:
        """The recipe `tiny` from start to end."""
        return self.ask(0, "run", f"{self.state.name}/tiny")

    @cached_property
    def second_run(self) -> dict[str, Any]:
        """The same once more, with strings hashed otherwise and the caches filled."""
        return self.ask(1, "run", f"{self.state.name}/tiny")

    def close(self) -> None:
        """Remove the temporary folder and end the processes."""
        if self._own_workers is not None:
            self._own_workers.close()
            self._own_workers = None
        if "scratch" in self.__dict__:
            shutil.rmtree(self.__dict__.pop("scratch"), ignore_errors=True)
