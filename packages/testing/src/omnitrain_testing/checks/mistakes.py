"""What users hear about wrong settings: the file, the line and the key, with exit code 2."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitrain.errors import OmnitrainError, UsageError
from omnitrain_testing.checks.configs import UNKNOWN
from omnitrain_testing.findings import Note

if TYPE_CHECKING:
    from omnitrain.api import Config
    from omnitrain_testing.examination import Examination

NO_SUCH = "no-such-component"
WRONG = ({"not": "of this type"}, ["not of this type"], "not of this type", 0.123456789, True)
_BELOW = {"ge": -1, "gt": 0}
_ABOVE = {"le": 1, "lt": 0}


def mistakes(examination: Examination) -> Iterator[str]:
    """An unknown key, a wrong type and a value out of range or an unknown component, in each own component of tiny."""
    tiny = examination.tiny
    if tiny is None:
        yield Note("not judged, since tiny can't be read")
        return
    for path, config in _own(examination):
        where = ".".join(map(str, path[2:])) or f"stage {path[1]}"
        yield from _unknown_key(examination, path, where)
        for name in type(config).model_fields:
            yield from _wrong_type(examination, (*path, name), f"{where}.{name}")
        yield from _out_of_range(examination, path, config, where)


def _own(examination: Examination) -> Iterator[tuple[tuple[str | int, ...], Config]]:
    """Yield the place in tiny and the config of each own component, once a component."""
    from omnitrain.recipes import uses

    prefix = f"{examination.plugin.name}/"
    seen: set[tuple[str, str]] = set()
    assert examination.tiny is not None
    for number, stage in enumerate(examination.tiny.stages):
        found: list[tuple[tuple[str | int, ...], str, str, Config]] = [((), "stage", stage.use, stage.config)]
        found += [(path, use.kind, use.use or "", use.config) for path, use in uses(stage.config) if use.use]
        for path, kind, address, config in found:
            place = ("stages", number, *path)
            if address.startswith(prefix) and (kind, address) not in seen and _at(examination.tiny.value, place) is not None:
                seen.add((kind, address))
                yield place, config


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    """Return the mapping at a place of the recipe as written, or None where it was not written as one."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value if isinstance(value, dict) else None


def _heard(examination: Examination, path: tuple[str | int, ...], value: Any) -> tuple[OmnitrainError | None, str]:
    """Set one value of tiny, read the recipe from a file; return the error and the place that it should name."""
    import yaml

    from omnitrain.recipes import load_recipe
    from omnitrain.recipes.reading import read_file

    assert examination.tiny is not None
    document = copy.deepcopy(dict(examination.tiny.value))
    holder = _at(document, path[:-1])
    assert holder is not None
    holder[path[-1]] = value
    file = Path(examination.scratch) / "mistake.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    place = str(read_file(file).origins[path])
    try:
        load_recipe(str(file), registry=examination.registry)
    except OmnitrainError as error:
        return error, place
    return None, place


def _told(error: OmnitrainError, place: str, key: str) -> str | None:
    """Say what is missing from a message, or None."""
    text = str(error)
    if error.exit_code != UsageError.exit_code:
        return f"ends with exit code {error.exit_code} instead of {UsageError.exit_code}"
    if key not in text:
        return f"is told without the key {key!r}"
    # A setting that others depend on may be reported at its component, which begins on an earlier line.
    file = place.rpartition(":")[0]
    return None if place in text or f"{file}:" in text else "is told without file and line"


def _unknown_key(examination: Examination, path: tuple[str | int, ...], where: str) -> Iterator[str]:
    error, place = _heard(examination, (*path, UNKNOWN), 1)
    missing = None if error is None else _told(error, place, UNKNOWN)  # that it is refused at all is another check's matter
    if missing:
        yield f"An unknown key in {where} {missing} ({error}): leave unknown keys to omnitrain.api.Config."


def _wrong_type(examination: Examination, path: tuple[str | int, ...], where: str) -> Iterator[str]:
    heard = (_heard(examination, path, value) for value in WRONG)
    error, place = next(((error, place) for error, place in heard if error is not None), (None, ""))
    if error is None:
        yield f"{where} takes a mapping, a list, text, a number and a switch alike: give the field a type."
        return
    missing = _told(error, place, str(path[-1]))
    if missing:
        yield f"A wrong type in {where} {missing} ({error}): let the field's type refuse it, not a validator of the whole."


def _out_of_range(examination: Examination, path: tuple[str | int, ...], config: Config, where: str) -> Iterator[str]:
    from omnitrain.api import Use

    for name, info in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Use) and value.use is not None:
            bad: Any = {"use": f"{examination.plugin.name}/{NO_SUCH}"}
        else:
            bad = _outside(info.metadata)
        if bad is None:
            continue
        error, place = _heard(examination, (*path, name), bad)
        missing = "is taken" if error is None else _told(error, place, name)
        if missing:
            yield f"{name}: {bad} in {where} {missing} ({error}): give the field bounds that refuse what lies outside."


def _outside(metadata: list[Any]) -> Any:
    """Return a number outside a field's bounds, or None without bounds."""
    for entry in metadata:
        for name, step in (*_BELOW.items(), *_ABOVE.items()):
            bound = getattr(entry, name, None)
            if isinstance(bound, (int, float)):
                return bound + step
    return None
