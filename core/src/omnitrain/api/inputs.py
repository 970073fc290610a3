"""Settings that name what lies outside of the recipe, so that core notices when that changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import AfterValidator


@dataclass(frozen=True, slots=True)
class Input:
    """Marks the type of a setting that names an input. what: a file, folder or glob pattern, or code as "module:attribute"."""

    what: Literal["path", "module"] = "path"


@dataclass(frozen=True, slots=True)
class NotInput:
    """Marks the type of a setting that looks like one of an input and is none. reason: why its content decides nothing."""

    reason: str


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("expected the name of a file or folder; nothing would be the folder that one happens to be in")
    return text


InputPath = Annotated[str, Input("path"), AfterValidator(_not_empty)]
"""A file, folder or glob pattern, whose content belongs to the identity of each stage that names it.

Text that names nothing on this machine, such as a name of a hub or of something built in, is only text.
"""

InputModule = Annotated[str, Input("module")]
"""Code as "module:attribute", whose source belongs to the identity of each stage that names it."""


@runtime_checkable
class TellsInputs(Protocol):
    """Ability of a config: files that its settings lead to and none of them names alone, as an index lists others."""

    def inputs(self) -> Iterable[str | Path]:
        """Return their paths; called before a stage begins, so it reads little."""
