"""The stage core/evaluate: measure a model with evaluators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from omnitrain.api.config import UseEvaluator
from omnitrain.api.protocols import Data, Prepares, SavesAssets, TellsFacts
from omnitrain.api.results import Evaluation
from omnitrain.engine.engine import choose_device, evaluating
from omnitrain.engine.rng import isolated, seed_everything
from omnitrain.engine.settings import EvaluateConfig


def evaluate(config: EvaluateConfig, run: Any) -> None:
    """Build data and model, run every evaluator, store what they find."""
    data, facts = _data(config, run)
    with isolated(run.seed("model")):
        model = run.build(config.model, facts)
    directory = _directory(config, run, data)
    predictor = run.predictor(model, run.describe_model(config.model)["use"], directory)
    if isinstance(model, nn.Module):
        model.to(choose_device(config.device))
    for label, use in labelled(config.evaluators):
        run.stop_if_asked()
        evaluator = run.build(use, facts)
        seed_everything(run.seed("evaluation"))
        if isinstance(model, nn.Module):
            with evaluating(model):
                evaluation: Evaluation = evaluator(predictor, data, run)
        else:
            evaluation = evaluator(predictor, data, run)
        run.report(label, evaluation)
    run.discard("assets")


def labelled(evaluators: Sequence[UseEvaluator]) -> list[tuple[str, UseEvaluator]]:
    """Return each evaluator with its label; that labels differ was checked when the recipe was read."""
    return [(use.label, use) for use in evaluators]


def _data(config: EvaluateConfig, run: Any) -> tuple[Data | None, dict[str, Any]]:
    use = config.data or run.model_data(config.model)
    if use is None:
        return None, {}
    data: Data = run.build(use)
    if isinstance(data, Prepares):
        data.prepare(run.workspace, run)
    return data, dict(data.facts()) if isinstance(data, TellsFacts) else {}


def _directory(config: EvaluateConfig, run: Any, data: Data | None) -> Path:
    """Return the folder with the model's files; a model that is not from a stage gets the data's assets."""
    if config.model.source is not None:
        stage, _, name = config.model.source.partition("/")
        path: Path = run.input(stage, name or "model").path
        return path
    folder: Path = run.directory / "assets"
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(data, SavesAssets):
        data.save_assets(folder)
    return folder
