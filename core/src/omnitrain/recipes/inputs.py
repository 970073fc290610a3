"""Which settings of a stage name what lies outside of the recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, get_args

from omnitrain.api.config import Config, Use
from omnitrain.api.inputs import Input, NotInput, TellsInputs
from omnitrain.recipes.reading import Path_

FOUND = "inputs"


@dataclass(frozen=True)
class NamedInput:
    """An input as a setting names it. setting: its path in the stage's settings. what: see `Input`.

    texts: what is written there, or all that a config tells by `TellsInputs`.
    """

    setting: Path_
    what: str
    texts: tuple[str, ...]

    @property
    def key(self) -> str:
        """The setting as an override would name it within the stage."""
        return ".".join(map(str, self.setting))


def named_inputs(config: Config) -> Iterator[NamedInput]:
    """Yield the inputs that a config and the components in it name. What is `from` a stage is that stage's matter."""
    return _of_config(config, ())


def marks(cls: type[Any], field: str) -> tuple[Input | NotInput, ...]:
    """Return the marks in the type of a field, also those inside unions and lists."""
    info = cls.model_fields[field]
    found = [*info.metadata, *_metadata(info.annotation)]
    return tuple(mark for mark in found if isinstance(mark, (Input, NotInput)))


def _metadata(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for argument in get_args(annotation):
        yield from _metadata(argument)


def _of_config(config: Config, path: Path_) -> Iterator[NamedInput]:
    for name in type(config).model_fields:
        what = next((mark.what for mark in marks(type(config), name) if isinstance(mark, Input)), None)
        yield from _of_value(getattr(config, name), (*path, name), what)
    if isinstance(config, TellsInputs):
        yield NamedInput((*path, FOUND), "path", _told(config))


def _told(config: TellsInputs) -> tuple[str, ...]:
    try:
        return tuple(map(str, config.inputs()))
    except (OSError, ValueError):  # a name that no file system takes, which its reader explains
        return ()


def _of_value(value: Any, path: Path_, what: str | None) -> Iterator[NamedInput]:
    if isinstance(value, Use):
        if value.is_resolved:
            yield from _of_config(value.config, path)
    elif isinstance(value, Config):
        yield from _of_config(value, path)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for number, item in enumerate(value):
            yield from _of_value(item, (*path, number), what)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _of_value(item, (*path, key), what)
    elif what is not None and isinstance(value, (str, PurePath)) and str(value):
        yield NamedInput(path, what, (str(value),))
