"""Frozen descriptions by which a plugin tells what it holds, before any of it is imported."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["data", "model", "objective", "evaluator", "stage"]
KINDS: tuple[str, ...] = get_args(Kind)


def load_reference(reference: str) -> Any:
    """Import what "module:attribute" names.

    Raises ValueError for another form, ImportError or AttributeError when it is not there.
    """
    module, separator, attribute = reference.partition(":")
    if not separator or not module or not attribute:
        raise ValueError(f"{reference!r} is not of the form 'module:attribute'")
    target: Any = importlib.import_module(module)
    for part in attribute.split("."):
        target = getattr(target, part)
    return target


@dataclass(frozen=True)
class Component:
    """A named, configurable thing of one kind, described without importing it.

    kind: what it is. name: its name inside the plugin ("denoising" of plugin "ul2" is addressed "ul2/denoising").
    summary: one line. config: "module:Class" of its strict config, a light module (omnitrain.api only).
    build: "module:callable" called as build(config, context) to make it; a stage is called as build(config, run).
    predictor: for models, "module:callable" called as predictor(model, directory, context) to give what evaluators and
    `omnitrain generate` ask for abilities; without it the model itself is asked. directory: the saved model's folder.
    needs: names of distributions or extras to mention when importing `build` fails.
    """

    kind: Kind
    name: str
    summary: str
    config: str
    build: str
    predictor: str | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """A YAML file of a plugin. path: "package:relative/path.yaml", read without importing the package's modules."""

    name: str
    summary: str
    path: str


@dataclass(frozen=True)
class Command:
    """A command that a plugin adds to the command line; imported when it is called."""

    name: str
    summary: str
    run: str


@dataclass(frozen=True)
class Published:
    """A number that the paper reports, and where it stands; value None means that no source was available."""

    value: float | str | None
    source: str


@dataclass(frozen=True)
class Variant:
    """One run of a miniature experiment: a recipe with overrides; the seed is set per repetition.

    Variants of different claims with the same recipe and overrides are run once per seed.
    """

    name: str
    recipe: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and how it is measured again in miniature.

    id: the card's name ("C2"). statement: one sentence. paper: what the paper reports.
    variants: the runs that it rests on. measure: "module:callable" called once per seed as
    measure({variant name: run directory}) -> {name: number}; imported when run.
    metric: which of these numbers the claim is about. baseline: which number it is compared with, paired over seeds.
    direction: whether metric should be higher or lower than baseline. margin: by how much at least.
    seeds: how many are reported. minutes: time for one seed on two cores. note: what a reader must know beside the number.
    """

    id: str
    statement: str
    paper: Mapping[str, Published]
    variants: tuple[Variant, ...]
    measure: str
    metric: str
    baseline: str
    direction: Literal["higher", "lower"]
    margin: float = 0.0
    seeds: int = 3
    minutes: float = 1.0
    note: str = ""


@dataclass(frozen=True)
class Plugin:
    """All that a plugin holds. api: the interface version it was written for ("1.0").

    parity: "module:ADAPTERS", a mapping from golden file stems to functions (input, shared) -> output.
    golden: "package:folder" of the plugin's own golden files, or a folder beside its tests in a checkout.
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
