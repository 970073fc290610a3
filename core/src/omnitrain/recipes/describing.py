"""The settings of a component as a table: key, type, default, description; nested configs are flattened with dots."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from omnitrain.api.config import Config, Use, UseArtifact

_BOUNDS = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))


@dataclass(frozen=True)
class Setting:
    """One line of the table. default: as it is written in YAML, or None where the setting is required."""

    key: str
    type: str
    default: str | None
    description: str


def settings_of(config: type[Config], prefix: str = "") -> Iterator[Setting]:
    """Yield every setting of a config class in its order; a nested config gives its own line, then its settings."""
    for name, info in config.model_fields.items():
        key = prefix + (info.alias or name)
        text = " ".join((info.description or "").split())
        nested = _nested(info.annotation)
        default = None if info.is_required() else _default(info)
        yield Setting(key, type_name(info.annotation) + _bounds(info), default, text)
        if nested is not None:
            yield from settings_of(nested, f"{key}.")
        entry = next((found for a in _entries(info.annotation) if (found := _nested(a)) is not None), None)
        if entry is not None and entry is not config:
            yield from settings_of(entry, f"{key}[].")


def type_name(annotation: Any) -> str:
    """Write a type as people read it: "int", "a | b", "list of float", "data component"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is type(None):
        return "null"
    if origin is Literal:
        return " | ".join(_yaml(a) for a in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(type_name(a) for a in arguments)
    if origin in (list, tuple, set, frozenset):
        inner = [a for a in arguments if a is not Ellipsis]
        if origin is tuple and len(inner) == len(arguments):
            return f"[{', '.join(type_name(a) for a in inner)}]"
        return f"list of {' or '.join(type_name(a) for a in inner)}"
    if origin is dict:
        return f"mapping of {type_name(arguments[0])} to {type_name(arguments[1])}"
    if origin is not None and hasattr(annotation, "__metadata__"):
        return type_name(arguments[0])
    return _class_name(annotation)


def _class_name(annotation: Any) -> str:
    if not isinstance(annotation, type):
        return str(annotation).removeprefix("typing.").lower()
    if issubclass(annotation, UseArtifact):
        return f"{annotation.product or 'artifact'} of a stage"
    if issubclass(annotation, Use):
        return f"{annotation.kind} component"
    if issubclass(annotation, Config):
        return "mapping"
    return {"str": "text", "Path": "path"}.get(annotation.__name__, annotation.__name__)


def _nested(annotation: Any) -> type[Config] | None:
    """Return the config class of a field that holds one, or None for lists and everything else."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType):
        return next((found for a in get_args(annotation) if (found := _nested(a)) is not None), None)
    return None


def _entries(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a list's entries, of a mapping's values, also where null may stand in its place."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return tuple(entry for a in arguments for entry in _entries(a))
    return arguments if origin in (list, tuple, dict) else ()


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True, validated_data={})
    return "" if isinstance(value, Config) else _yaml(value)


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_yaml(v) for v in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Config):
        return _yaml({name: getattr(value, name) for name in type(value).model_fields})
    if isinstance(value, Use):
        return value.use or f"{{from: {value.source}}}"
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or "\n" in text else text


def _bounds(info: FieldInfo) -> str:
    found = [
        f"{sign} {value:g}"
        for entry in info.metadata
        for name, sign in _BOUNDS
        if (value := getattr(entry, name, None)) is not None
    ]
    return f" ({', '.join(found)})" if found else ""
