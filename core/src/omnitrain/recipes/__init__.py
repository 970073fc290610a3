"""Recipes: read, overridden, checked, locked."""

from omnitrain.recipes.inputs import NamedInput, named_inputs
from omnitrain.recipes.loading import load_recipe, read_recipe, written_out
from omnitrain.recipes.lock import canonical, fingerprint, lock_text, locked_stage, locked_values
from omnitrain.recipes.model import ResolvedRecipe, Stage, configs, plain, uses
from omnitrain.recipes.resolving import resolve, resolve_component

__all__ = [
    "NamedInput",
    "ResolvedRecipe",
    "Stage",
    "canonical",
    "configs",
    "fingerprint",
    "load_recipe",
    "lock_text",
    "locked_stage",
    "locked_values",
    "named_inputs",
    "plain",
    "read_recipe",
    "resolve",
    "resolve_component",
    "uses",
    "written_out",
]
