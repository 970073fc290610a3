"""Models made ready to be measured, and written so that they can be opened again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from omnitrain.api.checksums import CHECKSUMS, sums_text
from omnitrain.api.config import Use
from omnitrain.api.data import Data
from omnitrain.api.protocols import ExtendsModel, FitsData, SavesAssets
from omnitrain.api.run import Opened
from omnitrain.engine.engine import choose_device
from omnitrain.engine.models import read_component, restore_weights, save_model
from omnitrain.engine.rng import isolated
from omnitrain.masking import masked
from omnitrain.plugins import Registry
from omnitrain.recipes import resolve_component
from omnitrain.runs import StageRun, with_facts, with_saved
from omnitrain.runs.directory import ASSETS
from omnitrain.runs.files import write_whole


def open_use(use: Use, run: StageRun, device: str, data: Data | None, facts: Mapping[str, Any]) -> Opened:
    """Make the model of a field ready; see omnitrain.api.Run.open."""
    with isolated(run.seed("model")):
        model = run.build(use, facts if use.source is None else {})
    if use.source is None:
        directory = _files_of(use, run, data)
    else:
        directory = run.input(use).path
        if facts and isinstance(model, FitsData):
            model.fit_data(with_facts(run, facts), grow=False)
        facts = read_component(directory).get("facts", {})
    address = run.describe_model(use)["use"]
    if isinstance(data, ExtendsModel):
        data.extend(model)
    _settle(model, device)
    return Opened(model, run.predictor(model, address, directory), directory, address, facts, run.model_data(use))


def open_folder(directory: Path, run: StageRun, registry: Registry, device: str = "auto") -> Opened:
    """Make the model in a folder ready, outside a recipe; its construction draws from the global generators.

    Raises EnvironmentFault when the folder holds no model or its weights do not fit.
    """
    stored = read_component(directory)
    model = load_saved_model(directory, run, registry)
    _settle(model, device)
    predictor = make_predictor(model, stored["use"], directory, run, registry)
    return Opened(model, predictor, directory, stored["use"], stored.get("facts", {}), None)


def _settle(model: Any, device: str) -> None:
    if isinstance(model, nn.Module):
        model.to(choose_device(device)).eval()


def _files_of(use: Use, run: StageRun, data: Data | None) -> Path:
    """Return the folder with what a model built anew comes with: its data's assets, or what its `path` names."""
    path = getattr(use.config, "path", None)
    if not isinstance(data, SavesAssets) and path is not None:
        return Path(path)
    folder = run.directory / ASSETS
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(data, SavesAssets):
        data.save_assets(folder)
    return folder


def write_model(model: nn.Module, directory: Path, component: Mapping[str, Any], assets: Any = None) -> None:
    """Write a model into a new folder, with its component, the files of its data and checksums; see
    omnitrain.api.Run.save_model.
    """
    save_model(model, directory, masked(dict(component)))
    if isinstance(assets, Path):
        shutil.copytree(assets, directory, dirs_exist_ok=True)
    elif isinstance(assets, SavesAssets):
        assets.save_assets(directory)
    write_whole(directory / CHECKSUMS, sums_text(directory))


def load_saved_model(directory: Path, run: StageRun, registry: Registry, overrides: Mapping[str, Any] | None = None) -> Any:
    """Build the model that a folder holds and load its weights; on the meta device, which has none, only build it.

    run: its context. overrides: settings that replace the stored ones (dropout, prefix attention).
    Raises EnvironmentFault when the folder holds no model or its weights do not fit.
    """
    stored = read_component(directory)
    settings = _from_own_folder({**stored["config"], **(overrides or {})}, directory)
    config = resolve_component(stored["use"], "model", settings, registry, str(directory))
    component = registry.component(stored["use"], "model")
    model = registry.builder(component)(config, with_saved(with_facts(run, stored.get("facts", {})), directory))
    if torch.get_default_device().type != "meta":
        restore_weights(model, directory)
    return model


def _from_own_folder(settings: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return settings that take a whole model from its own folder, not from the one where its training began."""
    if (
        settings.get("path") is None
        or not (directory / "config.json").is_file()
        or not any(directory.glob("model*.safetensors"))
    ):
        return settings
    return {**settings, "path": str(directory.absolute()), **({"revision": None} if "revision" in settings else {})}


def make_predictor(model: Any, address: str, directory: Path, run: StageRun, registry: Registry) -> Any:
    """Wrap a model for evaluators as its component asks; without a wrapper the model itself is the predictor."""
    wrap = registry.predictor(registry.component(address, "model"))
    return model if wrap is None else wrap(model, directory, run)
