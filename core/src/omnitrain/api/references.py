"""References as text: "module:attribute", absolute or relative to a plugin's package, and their defaults."""

from __future__ import annotations

import importlib
from typing import Any

# The module or folder of a plugin's package in which the components of a kind are built, and whose configs have its name.
FOLDERS = {"data": "data", "model": "models", "objective": "objectives", "evaluator": "evaluators", "stage": "stages"}


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


def package_of(name: str) -> str:
    """Return the package in which a plugin of that name lies unless it names another: "omnitrain_ul2" for "ul2"."""
    return f"omnitrain_{name.replace('-', '_')}"


def absolute(reference: str, package: str) -> str:
    """Return a reference with its package: ".data:build" is "omnitrain_ul2.data:build"; one without a dot stays."""
    return package + reference if reference.startswith(".") else reference


def located(path: str, package: str) -> str:
    """Return where a file of a package is: "recipes/mini.yaml" is "omnitrain_ul2:recipes/mini.yaml"."""
    return path if ":" in path else f"{package}:{path}"


def config_reference(kind: str, name: str) -> str:
    """Return where the config of a component is unless it says otherwise.

    The data "scored-text" has ".configs.data:ScoredTextConfig".
    """
    camel = "".join(word[:1].upper() + word[1:] for word in name.split("-"))
    return f".configs.{FOLDERS[kind]}:{camel}Config"


def build_reference(kind: str, name: str, one_module: bool = False) -> str:
    """Return what builds a component unless it says otherwise.

    The data "scored-text" is built by ".data.scored_text:build", the stage "long-run" is ".stages.long_run:long_run".
    one_module: its kind is one module instead of a folder: ".data:build_scored_text", ".stages:long_run".
    """
    word, folder = name.replace("-", "_"), FOLDERS[kind]
    if one_module:
        return f".{folder}:{word if kind == 'stage' else f'build_{word}'}"
    return f".{folder}.{word}:{word if kind == 'stage' else 'build'}"
