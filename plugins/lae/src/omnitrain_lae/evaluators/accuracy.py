"""Evaluator `lae/accuracy`: accuracy of a classifier, or of all experts of a continually learned model from one pass."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from omnitrain.api import Batch, Context, Evaluation, Metric, Table
from omnitrain.engine import to_device
from omnitrain.errors import UsageError
from omnitrain_lae.configs.evaluators import AccuracyConfig
from omnitrain_lae.data.feeding import in_order
from omnitrain_lae.paper.ensemble import answer, first_argmax, task_of_class


@runtime_checkable
class Classifies(Protocol):
    """A predictor that scores classes."""

    def classify(self, batch: Batch) -> Tensor:
        """Return scores float[batch, classes]."""


@runtime_checkable
class HasExperts(Protocol):
    """A predictor of several experts."""

    def expert_logits(self, batch: Batch) -> Tensor:
        """Return logits float[experts, batch, classes]."""

    def expert_names(self) -> list[str]:
        """Name the experts."""


class Accuracy:
    """Share of right answers on a split."""

    def __init__(self, config: AccuracyConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Any, /) -> Evaluation:
        """Return the accuracy; of a continually learned model that of every expert, together, and with the task known."""
        if data is None or "labels" not in data.batch:
            raise UsageError("lae/accuracy needs data with labels; give the stage a data setting.")
        if isinstance(predictor, HasExperts):
            return self._experts(predictor, data, run)
        if not isinstance(predictor, Classifies):
            raise UsageError(
                f"lae/accuracy asks for classify(batch), which {type(predictor).__name__} does not have; use lae/vision or the "
                "model of a stage lae/continual."
            )
        right, seen = 0, 0
        for batch in self._batches(data, predictor, run):
            given = first_argmax(predictor.classify(batch))
            right += int((given == batch["labels"]).sum())
            seen += len(given)
        return Evaluation({"accuracy": _metric(right, seen)})

    def _batches(self, data: Any, predictor: Any, run: Any) -> Any:
        module = getattr(predictor, "learner", None) or getattr(predictor, "model", None)
        device = next(module.parameters()).device if module is not None else torch.device("cpu")
        for raw in in_order(data, self.config.split, self.config.batch_size):
            run.stop_if_asked()
            yield to_device(raw, device)

    def _experts(self, predictor: HasExperts, data: Any, run: Any) -> Evaluation:
        names = predictor.expert_names()
        sizes = data.task_sizes() if hasattr(data, "task_sizes") else [int(data.facts()["classes"])]
        right: dict[str, int] = dict.fromkeys([*names, "ensemble", "task known"], 0)
        seen = 0
        for batch in self._batches(data, predictor, run):
            labels = batch["labels"]
            answers = answer(predictor.expert_logits(batch), labels, task_of_class(sizes, labels.device))
            given = [*answers.experts, answers.ensemble, answers.task_known]
            for name, found in zip(right, given, strict=True):
                right[name] += int((found == labels).sum())
            seen += len(labels)
        metrics = {name: _metric(count, seen) for name, count in right.items()}
        rows = [[name, metric.value] for name, metric in metrics.items()]
        return Evaluation(metrics, {"experts": Table(("answers", "accuracy"), rows, "Each expert alone and together.")})


def _metric(right: int, seen: int) -> Metric:
    """Return the share with its 95 % Wilson interval."""
    share, z = right / max(seen, 1), 1.96
    centre = (share + z * z / (2 * seen)) / (1 + z * z / seen)
    half = z * float(np.sqrt(share * (1 - share) / seen + z * z / (4 * seen * seen))) / (1 + z * z / seen)
    return Metric(share, seen, "higher", (centre - half, centre + half))


def build(config: AccuracyConfig, context: Context) -> Accuracy:
    """Make the evaluator `lae/accuracy`."""
    return Accuracy(config)
