"""Evaluator `w2pgnn/frozen`: logistic regression on the embeddings of a frozen encoder."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from omnitrain.api import Batch, Context, Evaluation, Metric, Run, Table, numpy_generator
from omnitrain.errors import UsageError
from omnitrain_w2pgnn.configs.evaluators import FrozenConfig
from omnitrain_w2pgnn.data.collection import graphs_of
from omnitrain_w2pgnn.evaluators.downstream import embeddings, frozen_scores, make_target, prepared_batches


@runtime_checkable
class Embeds(Protocol):
    """A predictor that turns graphs into vectors."""

    def embed(self, batch: Batch) -> Tensor:
        """Return float[graphs, width] of a single-view batch."""


def positions_of(encoder: Any) -> int:
    """Return how many positional features an encoder reads.

    Raises UsageError for something else than an encoder of this plugin.
    """
    if not isinstance(encoder, Embeds) or not hasattr(encoder, "convolutions"):
        raise UsageError("The model can't embed graphs (ability `embed`); take w2pgnn/gin.")
    model: Any = encoder
    return int(model.convolutions[0].nn[0].in_features) - int(model.config.degree_width) - 1


def spread_metric(scores: list[float], count: int) -> Metric:
    """Return the mean over folds with a 95 % interval of the mean."""
    from scipy.stats import t  # type: ignore[import-untyped, unused-ignore]

    values = np.asarray(scores)
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    mean = float(values.mean())
    return Metric(mean, count, "higher", (mean - half, mean + half))


class Frozen:
    """Cross-validated logistic regression on embeddings, beside the share of the largest class."""

    def __init__(self, config: FrozenConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Measure every target.

        Raises UsageError when the predictor can't embed graphs, DataError for a target without labels.
        """
        positions = positions_of(predictor)
        device = next(predictor.parameters()).device if hasattr(predictor, "parameters") else torch.device("cpu")
        metrics, rows = {}, []
        with run.progress("frozen", len(self.config.targets)) as bar:
            for name, use in self.config.targets.items():
                network, _ = graphs_of(run.build(use), f"targets.{name}", run)
                target = make_target(name, network, self.config, numpy_generator(run.seed(f"rows {name}")))
                features = embeddings(predictor, prepared_batches(target, positions), device)
                seed = run.seed(f"folds {name}")
                scores = frozen_scores(features, target.labels, self.config, self.config.inverse_penalty, seed)
                metrics[name] = spread_metric(scores, len(target.labels))
                largest = float(np.bincount(target.labels).max() / len(target.labels))
                rows.append([name, metrics[name].value, float(np.std(scores)), largest, len(target.labels)])
                bar.advance()
        caption = f"{self.config.metric} of logistic regression on frozen embeddings, {self.config.folds} folds."
        columns = ("target", self.config.metric, "deviation over folds", "largest class", "rows")
        return Evaluation(metrics, {"frozen": Table(columns, rows, caption)})


def build(config: FrozenConfig, context: Context) -> Frozen:
    """Make the evaluator `w2pgnn/frozen`."""
    return Frozen(config)
