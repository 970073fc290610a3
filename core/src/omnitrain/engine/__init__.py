"""The engine: training, checkpoints, execution. Its names are loaded on first access, since most of them need torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnitrain.api.digests import file_digest
    from omnitrain.engine.batches import in_order, make_feed, to_device
    from omnitrain.engine.beforehand import check_evaluators
    from omnitrain.engine.checkpoints import Checkpoints
    from omnitrain.engine.engine import Engine, Update, choose_device, evaluating, frozen, unwrap
    from omnitrain.engine.execution import Options, run_recipe
    from omnitrain.engine.exporting import companions
    from omnitrain.engine.guard import Guard
    from omnitrain.engine.journal import Journal
    from omnitrain.engine.loop import Updated
    from omnitrain.engine.models import count_parameters, load_adapter_state, read_component, save_model, weights_digest
    from omnitrain.engine.optimisers import MovingAverage, make_optimiser, make_schedule, set_learning_rate
    from omnitrain.engine.parts import Parts, build_parts, check_fields
    from omnitrain.engine.planning import reads_data
    from omnitrain.engine.pretrained import (
        check_model_folder,
        check_settings_files,
        explained_loading,
        find_pretrained,
        weight_files,
    )
    from omnitrain.engine.rng import (
        Streams,
        generator_state,
        isolated,
        rng_state,
        seed_everything,
        set_generator_state,
        set_rng_state,
    )
    from omnitrain.engine.scratch import ScratchRun, scratch_run
    from omnitrain.engine.settings import FitSettings, OptimiserConfig, ScheduleConfig, UpdaterConfig
    from omnitrain.engine.splits import check_split
    from omnitrain.engine.tally import Tally
    from omnitrain.engine.training import Trainer, train
    from omnitrain.engine.updaters import Target, Updater
    from omnitrain.engine.wrapping import DataWrapper
    from omnitrain.plugins import installed
    from omnitrain.recipes import load_recipe
    from omnitrain.runs.files import whole, write_json, write_whole
    from omnitrain.runs.inputs import input_digests
    from omnitrain.runs.ledger import Ledger
    from omnitrain.runs.once import build_once, is_complete

_MODULES = {
    "batches": ("in_order", "make_feed", "to_device"),
    "beforehand": ("check_evaluators",),
    "checkpoints": ("Checkpoints",),
    "engine": ("Engine", "Update", "choose_device", "evaluating", "frozen", "unwrap"),
    "execution": ("Options", "run_recipe"),
    "exporting": ("companions",),
    "guard": ("Guard",),
    "journal": ("Journal",),
    "loop": ("Updated",),
    "models": ("count_parameters", "load_adapter_state", "read_component", "save_model", "weights_digest"),
    "optimisers": ("MovingAverage", "make_optimiser", "make_schedule", "set_learning_rate"),
    "pretrained": ("check_model_folder", "check_settings_files", "explained_loading", "find_pretrained", "weight_files"),
    "parts": ("Parts", "build_parts", "check_fields"),
    "planning": ("reads_data",),
    "rng": ("Streams", "generator_state", "isolated", "rng_state", "seed_everything", "set_generator_state", "set_rng_state"),
    "scratch": ("ScratchRun", "scratch_run"),
    "settings": ("FitSettings", "OptimiserConfig", "ScheduleConfig", "UpdaterConfig"),
    "splits": ("check_split",),
    "tally": ("Tally",),
    "training": ("Trainer", "train"),
    "updaters": ("Target", "Updater"),
    "wrapping": ("DataWrapper",),
}
_HOME = {name: f"omnitrain.engine.{module}" for module, names in _MODULES.items() for name in names}
# What plugins need of the layers below.
_HOME |= {
    "Ledger": "omnitrain.runs.ledger",
    "build_once": "omnitrain.runs.once",
    "file_digest": "omnitrain.api.digests",
    "input_digests": "omnitrain.runs.inputs",
    "installed": "omnitrain.plugins",
    "is_complete": "omnitrain.runs.once",
    "load_recipe": "omnitrain.recipes",
    "whole": "omnitrain.runs.files",
    "write_json": "omnitrain.runs.files",
    "write_whole": "omnitrain.runs.files",
}

__all__ = [
    "Checkpoints",
    "DataWrapper",
    "Engine",
    "FitSettings",
    "Guard",
    "Journal",
    "Ledger",
    "MovingAverage",
    "OptimiserConfig",
    "Options",
    "Parts",
    "ScheduleConfig",
    "ScratchRun",
    "Streams",
    "Tally",
    "Target",
    "Trainer",
    "Update",
    "Updated",
    "Updater",
    "UpdaterConfig",
    "build_once",
    "build_parts",
    "check_evaluators",
    "check_fields",
    "check_model_folder",
    "check_settings_files",
    "check_split",
    "choose_device",
    "companions",
    "count_parameters",
    "evaluating",
    "explained_loading",
    "file_digest",
    "find_pretrained",
    "frozen",
    "generator_state",
    "in_order",
    "input_digests",
    "installed",
    "is_complete",
    "isolated",
    "load_adapter_state",
    "load_recipe",
    "make_feed",
    "make_optimiser",
    "make_schedule",
    "read_component",
    "reads_data",
    "rng_state",
    "run_recipe",
    "save_model",
    "scratch_run",
    "seed_everything",
    "set_generator_state",
    "set_learning_rate",
    "set_rng_state",
    "to_device",
    "train",
    "unwrap",
    "weight_files",
    "weights_digest",
    "whole",
    "write_json",
    "write_whole",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'omnitrain.engine' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
