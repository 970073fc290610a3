"""The settings of components: documented, strict, and the same after a round trip through JSON."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from omnitrain_testing.findings import Note
from omnitrain_testing.subjects import used_in_tiny

if TYPE_CHECKING:
    from omnitrain.api import Component, Config
    from omnitrain_testing.examination import Examination

UNKNOWN = "omnitrain_unknown_key"
_NAMES_INPUT = frozenset(
    ("path", "paths", "file", "files", "filename", "folder", "folders", "directory", "dir", "root", "weights", "checkpoint")
)


def nested(config: type[Any], seen: set[type[Any]] | None = None) -> Iterator[type[Config]]:
    """Yield a config class and those inside it, each once; other components' configs are their own matter."""
    from pydantic import BaseModel

    from omnitrain.api import Use

    seen = set() if seen is None else seen
    if config in seen:
        return
    seen.add(config)
    yield config
    for info in config.model_fields.values():
        for part in _types(info.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel) and not issubclass(part, Use):
                yield from nested(part, seen)


def _types(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is None and not isinstance(annotation, types.UnionType):
        yield annotation
        return
    if origin in (list, tuple, set, frozenset, dict, Union, types.UnionType) or hasattr(annotation, "__metadata__"):
        for argument in get_args(annotation):
            yield from _types(argument)


def documented(examination: Examination, component: Component) -> Iterator[str]:
    """Every field has a docstring: it is the help, the schema and the table in the docs."""
    for cls in nested(examination.registry.config_class(component)):
        if not (cls.__doc__ or "").strip():
            yield f"{cls.__name__} has no docstring: say in one line what it configures."
        missing = [name for name, info in cls.model_fields.items() if not (info.description or "").strip()]
        if missing:
            yield f"{cls.__name__}.{missing[0]} has no docstring: write one under the field{_others(missing)}."


def _others(names: list[str]) -> str:
    return f"; likewise {', '.join(names[1:])}" if len(names) > 1 else ""


def strict(examination: Examination, component: Component) -> Iterator[str]:
    """Unknown keys are refused, at every level."""
    from pydantic import ValidationError

    from omnitrain.api import Config

    for cls in nested(examination.registry.config_class(component)):
        if not issubclass(cls, Config):
            yield f"{cls.__name__} is not an omnitrain.api.Config: derive it from that, so that wrong settings are refused."
        try:
            cls.model_validate_json(f'{{"{UNKNOWN}": 1}}')
            refused = False
        except ValidationError as error:
            refused = any(item["type"] == "extra_forbidden" for item in error.errors(include_url=False))
        if not refused:
            yield f"{cls.__name__} takes an unknown key without a word: leave extra='forbid' of omnitrain.api.Config as it is."


def example_of(examination: Examination, component: Component) -> Any | None:
    """Return validated settings of a component: those of tiny, those given, or its defaults; None where none are known."""
    from omnitrain.recipes import resolve_component, uses

    address = f"{examination.plugin.name}/{component.name}"
    given = examination.declared.settings.get(examination.address(component))
    if given is not None:
        return resolve_component(address, component.kind, given, examination.registry, "the given settings")
    for stage in examination.tiny.stages if examination.tiny is not None else ():
        if component.kind == "stage" and stage.use == address:
            return stage.config
        for _, use in uses(stage.config):
            if use.kind == component.kind and use.use == address:
                return use.config
    from omnitrain_testing.subjects import constructible

    if constructible(examination, component):
        return resolve_component(address, component.kind, {}, examination.registry, "its defaults")
    return None


def round_trip(examination: Examination, component: Component) -> Iterator[str]:
    """Settings written to a lock file or a saved model and read again are the same settings."""
    from omnitrain.recipes import fingerprint, plain, resolve_component, uses

    config = example_of(examination, component)
    if config is None:
        yield Note("no settings of it are known, so none were written and read again")
        return
    cls = type(config)
    first = cls.model_validate_json(config.model_dump_json(by_alias=True))
    second = cls.model_validate_json(first.model_dump_json(by_alias=True))
    changed = [name for name in cls.model_fields if getattr(first, name) != getattr(second, name)]
    changed += [name for name in cls.model_fields if not _same(getattr(config, name), getattr(first, name))]
    changed = list(dict.fromkeys(changed))
    if changed:
        yield (
            f"{cls.__name__}.{changed[0]} changes when the settings are written as JSON and read again: let validators "
            f"return values that they would return again, and exclude no field from the dump{_others(changed)}."
        )
        return
    if any(use.source is not None for _, use in uses(config)):
        return
    address = f"{examination.plugin.name}/{component.name}"
    again = resolve_component(address, component.kind, plain(config), examination.registry, "the written settings")
    if fingerprint(plain(again)) != fingerprint(plain(config)):
        yield f"{cls.__name__} is read back from a lock file with other values: give its fields types that JSON keeps."


def inputs(examination: Examination, component: Component) -> Iterator[str]:
    """Settings that name files, folders or code say so, so that a run notices when what they name changes."""
    from omnitrain.recipes.inputs import marks

    for cls in nested(examination.registry.config_class(component)):
        for name, info in cls.model_fields.items():
            types_ = {part for part in _types(info.annotation) if isinstance(part, type)}
            named = str in types_ and _NAMES_INPUT.intersection(name.split("_"))
            if (named or any(issubclass(part, PurePath) for part in types_)) and not marks(cls, name):
                yield (
                    f"{cls.__name__}.{name} looks like the name of a file or folder: type it omnitrain.api.InputPath, so that "
                    'a run notices when its content changes, or Annotated[str, NotInput("why not")].'
                )


def _same(a: Any, b: Any) -> bool:
    """Compare settings; of a component inside, only what was written, since one of the two is not resolved."""
    from omnitrain.api import Config

    if isinstance(a, Config) and type(a) is type(b):
        return all(_same(getattr(a, name), getattr(b, name)) for name in type(a).model_fields)
    return bool(a == b)


def exercised(examination: Examination, component: Component) -> Iterator[str]:
    """Every component takes part in the recipe tiny or in a combination that the kit makes."""
    from omnitrain_testing.subjects import NO_PARTNER, PARTS, Substituted, data_subjects, subjects

    address = f"{examination.plugin.name}/{component.name}"
    if (component.kind, address) in used_in_tiny(examination):
        return
    name = examination.address(component)
    advice = f"add it to tiny or give settings (the key {name!r}) that make it work"
    if component.kind not in PARTS:
        yield f"The {component.kind} {address} is not exercised: add it to the recipe tiny."
        return
    if component.kind == "data" and any(s.name == name for s in data_subjects(examination)):
        return
    found = [s for s in subjects(examination) if isinstance(s, Substituted) and s.name == name]
    if not found:
        yield f"The {component.kind} {address} is not exercised: {advice}."
    elif found[0].found is None:
        yield f"The {component.kind} {address} is not exercised, since {NO_PARTNER}: {advice}."
