"""Evaluator `w2pgnn/frozen`: logistic regression on the embeddings of a frozen encoder."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from omnitrain.api import Batch, Context, Evaluation, Run, Table, mean_metric
from omnitrain.errors import UsageError
from omnitrain_w2pgnn.configs.evaluators import FrozenConfig
from omnitrain_w2pgnn.data.collection import graphs_of
from omnitrain_w2pgnn.evaluators.downstream import Target


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


class Frozen:
    """Cross-validated logistic regression on embeddings, beside the share of the largest class."""

    def __init__(self, config: FrozenConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Measure every target.

        Raises UsageError when the predictor can't embed graphs, DataError for a target without labels.
        """
        positions = positions_of(predictor)
        metrics, rows = {}, []
        with run.progress("frozen", len(self.config.targets)) as bar:
            for name, use in self.config.targets.items():
                network, _ = graphs_of(run.data(use)[0], f"targets.{name}")
                target = Target(name, network, self.config, positions, run)
                scores, count = target.frozen_scores(predictor, self.config.inverse_penalty), len(target.labels)
                metrics[name] = mean_metric(scores, "higher", n=count)
                rows.append([name, metrics[name].value, float(np.std(scores)), target.largest_class, count])
                bar.advance()
        caption = f"{self.config.metric} of logistic regression on frozen embeddings, {self.config.folds} folds."
        columns = ("target", self.config.metric, "deviation over folds", "largest class", "rows")
        return Evaluation(metrics, {"frozen": Table(columns, rows, caption)})


def build(config: FrozenConfig, context: Context) -> Frozen:
    """Make the evaluator `w2pgnn/frozen`."""
    return Frozen(config)
