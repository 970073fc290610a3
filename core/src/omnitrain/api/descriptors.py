"""Frozen descriptions by which a plugin tells what it holds, before any of it is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from omnitrain.api.claims import Claim
from omnitrain.api.references import absolute, build_reference, config_reference, located, package_of

Kind = Literal["data", "model", "objective", "evaluator", "stage"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Component:
    """A named, configurable thing of one kind, described without importing it.

    kind: what it is. name: its name inside the plugin ("denoising" of plugin "ul2" is addressed "ul2/denoising").
    summary: one line. config: "module:Class" of its strict config, a light module (omnitrain.api only); by default
    ".configs.data:DenoisingConfig" for the data "denoising", likewise with models, objectives, evaluators and stages.
    build: "module:callable" called as build(config, context) to make it; a stage is called as build(config, run). By default
    ".data.denoising:build", for a stage "gains" ".stages.gains:gains"; where the plugin says that a kind is one module,
    ".data:build_denoising" and ".stages:gains".
    predictor: for models, "module:callable" called as predictor(model, directory, context) to give what evaluators and
    `omnitrain generate` ask for abilities; without it the model itself is asked. directory: the saved model's folder.
    needs: names of distributions or extras to mention when importing `build` fails.

    A reference that begins with a dot is relative to the plugin's package.
    """

    kind: Kind
    name: str
    summary: str
    config: str = ""
    build: str = ""
    predictor: str | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """A YAML file of a plugin, or a variant in one.

    path: the file inside the plugin's package, "recipes/NAME.yaml" by default, or "package:path.yaml"; "#awr" behind it
    names a variant. It is read without importing the package's modules.
    """

    name: str
    summary: str
    path: str = ""


@dataclass(frozen=True)
class Command:
    """A command that a plugin adds to the command line. run: "module:command" of click, imported when it is called."""

    name: str
    summary: str
    run: str


@dataclass(frozen=True)
class Plugin:
    """All that a plugin holds. api: the interface version it was written for ("1.1").

    package: where it lies, "omnitrain_" and its name by default. References that begin with a dot and paths without a package
    are relative to it; once the description is made, every reference in it is absolute.
    modules: kinds whose components are built in one module (objectives.py) instead of a folder with a module for each.
    parity: "module:ADAPTERS", a mapping from golden file stems to functions (input, shared) -> output.
    golden: a folder of the package with the plugin's own golden files; by default they lie beside its tests in a checkout.
    bench: "module:callable" that times the plugin's hot paths.
    """

    name: str
    summary: str
    api: str
    paper: str = ""
    components: tuple[Component, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    claims: tuple[Claim, ...] = ()
    commands: tuple[Command, ...] = ()
    parity: str | None = None
    golden: str | None = None
    bench: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    package: str = ""
    modules: tuple[Kind, ...] = ()

    def __post_init__(self) -> None:
        """Fill in what was left to the defaults and make every reference absolute. What is no description stays as it is."""
        package = self.package or (package_of(self.name) if isinstance(self.name, str) else "")
        listed = {key: getattr(self, key) for key in ("components", "recipes", "claims", "commands")}
        completed: dict[str, Any] = {
            key: tuple(_complete(item, package, self.modules) for item in items)
            for key, items in listed.items()
            if isinstance(items, (tuple, list))
        }
        completed |= {
            key: absolute(text, package) for key in ("parity", "bench") if isinstance(text := getattr(self, key), str)
        }
        completed["package"] = package
        if self.golden and isinstance(self.golden, str):
            completed["golden"] = located(self.golden, package)
        for key, value in completed.items():
            object.__setattr__(self, key, value)


def _complete(item: Any, package: str, modules: tuple[Kind, ...]) -> Any:
    """Return one entry of a description with absolute references; one with fields of other types as it is."""
    try:
        if isinstance(item, Component) and item.kind in KINDS:
            config = item.config or config_reference(item.kind, item.name)
            build = item.build or build_reference(item.kind, item.name, item.kind in modules)
            predictor = item.predictor and absolute(item.predictor, package)
            return replace(item, config=absolute(config, package), build=absolute(build, package), predictor=predictor)
        if isinstance(item, Recipe):
            return replace(item, path=located(item.path or f"recipes/{item.name}.yaml", package))
        if isinstance(item, Command):
            return replace(item, run=absolute(item.run, package))
        return replace(item, measure=absolute(item.measure, package)) if isinstance(item, Claim) else item
    except (AttributeError, TypeError):  # the check of the description says which field it is
        return item
