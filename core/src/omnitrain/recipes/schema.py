"""JSON Schema of recipes, for editors and for scripts."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from omnitrain.api.config import Config, Use, UseArtifact, UseEvaluator
from omnitrain.plugins import Registry
from omnitrain.recipes.model import ResolvedRecipe, uses

DIALECT = "https://json-schema.org/draft/2020-12/schema"

# What a recipe, and a row of its table, says of a base and of itself.
_CHANGES: dict[str, Any] = {
    "summary": {"type": "string"},
    "seed": {"type": "integer", "minimum": 0, "default": 0},
    "base": {"type": "string"},
    "set": {"type": "object"},
}
_ROW = {"type": "object", "additionalProperties": False, "properties": _CHANGES}
_STAGE_LIKE_ANOTHER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "base"],
    "properties": {"name": {"type": "string"}, "base": {"type": "string"}, "set": {"type": "object"}},
}


def component_schema(address: str, kind: str, registry: Registry) -> dict[str, Any]:
    """Return the JSON Schema of one component's settings."""
    cls: type[Config] = registry.config_class(registry.component(address, kind))
    schema: dict[str, Any] = cls.model_json_schema(by_alias=True)
    return {"$schema": DIALECT, **schema}


def recipe_schema(recipe: ResolvedRecipe, registry: Registry) -> dict[str, Any]:
    """Return the JSON Schema of recipes made of the stages that this recipe has.

    A field that holds a component accepts any installed one of its kind by name; the settings of those that the
    recipe uses are checked in detail.
    """
    classes: dict[type[Config], tuple[str, str]] = {}
    for stage in recipe.stages:
        classes[type(stage.config)] = (stage.use, "stage")
        for _, use in uses(stage.config):
            if use.use is not None and use.is_resolved:
                classes[type(use.config)] = (use.use, use.kind)
    refs, definitions = models_json_schema([(cls, "validation") for cls in classes], by_alias=True)
    defs = definitions.get("$defs", {})
    used: dict[str, list[tuple[str, Any]]] = {}
    for cls, (address, kind) in classes.items():
        used.setdefault(kind, []).append((address, defs[refs[(cls, "validation")]["$ref"].rsplit("/", 1)[-1]]))
    for name, definition in defs.items():
        held = next((c.kind for c in (*Use.__subclasses__(), *UseArtifact.__subclasses__()) if c.__name__ == name), None)
        if held is not None:
            definition.clear()
            definition.update(_choice(held, used.get(held, []), registry))
    stages = [_with_names(schema, address) for address, schema in used.get("stage", [])]
    return {
        "$schema": DIALECT,
        "title": f"Recipe {recipe.address}",
        "type": "object",
        "additionalProperties": False,
        "anyOf": [{"required": ["stages"]}, {"required": ["base"]}, {"required": ["variants"]}],
        "properties": {
            **_CHANGES,
            "stages": {"type": "array", "minItems": 1, "items": {"anyOf": [*stages, _STAGE_LIKE_ANOTHER]}},
            "variants": {"type": "object", "additionalProperties": {"anyOf": [_ROW, {"type": "null"}]}},
        },
        "$defs": defs,
    }


def _with_names(schema: dict[str, Any], address: str) -> dict[str, Any]:
    properties = {"name": {"type": "string"}, "use": {"const": address}, **schema.get("properties", {})}
    return {**schema, "properties": properties, "required": ["name", "use", *schema.get("required", [])]}


def _choice(kind: str, used: list[tuple[str, Any]], registry: Registry) -> dict[str, Any]:
    source = {"type": "object", "required": ["from"], "properties": {"from": {"type": "string"}}}
    if kind == UseArtifact.kind:
        return source
    named = {"name": {"type": "string"}} if kind == UseEvaluator.kind else {}
    detailed = [
        {**schema, "properties": {"use": {"const": address}, **named, **schema.get("properties", {})}, "required": ["use"]}
        for address, schema in used
    ]
    known = [address for address, _ in registry.components(kind)]
    others = [a for a in known if a not in {address for address, _ in used}]
    loose = {"type": "object", "required": ["use"], "properties": {"use": {"enum": others}}} if others else None
    return {"anyOf": [*detailed, *([loose] if loose else []), source, {"enum": known}]}
