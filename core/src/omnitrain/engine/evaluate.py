"""The stage core/evaluate: measure a model with evaluators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from torch import nn

from omnitrain.api.config import UseEvaluator
from omnitrain.api.data import Data
from omnitrain.api.protocols import Evaluator, TellsFacts
from omnitrain.api.results import Evaluation
from omnitrain.api.run import Opened, Run
from omnitrain.engine.engine import evaluating
from omnitrain.engine.misfits import UNLIKE, explain
from omnitrain.engine.rng import seed_everything
from omnitrain.engine.settings import EvaluateConfig
from omnitrain.runs.directory import ASSETS
from omnitrain.runs.measured import checked


def evaluate(config: EvaluateConfig, run: Run) -> None:
    """Build data and model, run every evaluator, store what they find."""
    use = config.data or run.model_data(config.model)
    data: Data | None = None
    facts: dict[str, Any] = {}
    if use is not None:
        data, facts = run.data(use)
    opened = run.open(config.model, device=config.device, data=data, facts=facts)
    run.evaluate(config.evaluators, opened, data)
    run.discard(ASSETS)


def measure(
    evaluators: Sequence[UseEvaluator], opened: Opened, data: Data | None, run: Run, report: bool = True
) -> dict[str, Evaluation]:
    """Run evaluators, each with the same randomness; see omnitrain.api.Run.evaluate.

    Raises Stopped between two of them on request.
    """
    facts: Mapping[str, Any] = data.facts() if isinstance(data, TellsFacts) else {}
    found: dict[str, Evaluation] = {}
    for label, use in labelled(evaluators):
        run.stop_if_asked()
        evaluator: Evaluator = run.build(use, facts)
        seed_everything(run.seed("evaluation"))
        with evaluating(opened.model) if isinstance(opened.model, nn.Module) else nullcontext():
            found[label] = measured(label, evaluator, opened.predictor, data, run)
        if report:
            run.report(label, found[label])
    return found


def labelled(evaluators: Sequence[UseEvaluator]) -> list[tuple[str, UseEvaluator]]:
    """Return each evaluator with its label; that labels differ was checked when the recipe was read."""
    return [(use.label, use) for use in evaluators]


def measured(label: str, evaluator: Evaluator, predictor: Any, data: Data | None, run: Run) -> Evaluation:
    """Measure with one evaluator. label: of the evaluator, for messages.

    Raises PluginError where it can't work with the predictor or returns what is no evaluation, and whatever it raises.
    """
    try:
        return checked(label, evaluator(predictor, data, run))
    except UNLIKE as error:
        explain(error, f"The evaluator {label}", predictor)
        raise
