"""What an author tells the kit: settings of components, exceptions with their reasons, where golden files lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnitrain.api import Plugin
from omnitrain.errors import UsageError
from omnitrain.recipes.reading import read_file

FILE = "contract.yaml"


@dataclass(frozen=True)
class Declaration:
    """settings: by address ("ul2/denoising") or, for a name of several kinds, "data ul2/denoising".

    exceptions: name of a check to the reason why the plugin does not hold to it. golden: folder of golden files where
    it is not the plugin's default one.
    """

    plugin: str
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    exceptions: Mapping[str, str] = field(default_factory=dict)
    golden: Path | None = None


def with_file(declared: Declaration, described: Plugin, package: Path | None) -> Declaration:
    """Add what the plugin ships in the file contract.yaml beside its modules; what the caller says goes before.

    Raises UsageError for a file of another form and for an exception without a reason.
    """
    values: dict[str, Any] = {}
    path = package / FILE if package is not None else None
    if path is not None and path.is_file():
        values = _read(path)
    settings = {**values.get("settings", {}), **declared.settings}
    exceptions = {**values.get("exceptions", {}), **declared.exceptions}
    empty = [name for name, reason in exceptions.items() if not isinstance(reason, str) or len(reason.strip()) < 10]
    if empty:
        raise UsageError(f"The exception {empty[0]!r} of plugin {described.name!r} gives no reason that a user could weigh.")
    return Declaration(declared.plugin, settings, exceptions, declared.golden)


def _read(path: Path) -> dict[str, Any]:
    values = read_file(path).value
    known = {"settings", "exceptions"}
    if not isinstance(values, dict) or set(values) - known or not all(isinstance(v, dict) for v in values.values()):
        raise UsageError(f"{path}: expected the mappings 'settings' and 'exceptions', and nothing else.")
    return values
