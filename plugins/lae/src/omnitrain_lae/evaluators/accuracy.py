"""Evaluator `lae/accuracy`: accuracy of a classifier, or of all experts of a continually learned model from one pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from omnitrain.api import Batch, Context, Evaluation, Run, Table, share_metric
from omnitrain.engine import check_split, in_order, to_device
from omnitrain.errors import UsageError
from omnitrain_lae.configs.evaluators import AccuracyConfig
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

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: data without labels, or without the split, is refused before training."""
        check_split(data, self.config.split)
        if "labels" not in data.batch:
            raise UsageError("lae/accuracy needs data with labels; give the stage other data.")

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
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
        return Evaluation({"accuracy": share_metric(right, seen)})

    def _batches(self, data: Any, predictor: Any, run: Run) -> Iterator[Batch]:
        module = getattr(predictor, "learner", None) or getattr(predictor, "model", None)
        device = next(module.parameters()).device if module is not None else torch.device("cpu")
        for raw in in_order(data, self.config.split, self.config.batch_size):
            run.stop_if_asked()
            yield to_device(raw, device)

    def _experts(self, predictor: HasExperts, data: Any, run: Run) -> Evaluation:
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
        metrics = {name: share_metric(count, seen) for name, count in right.items()}
        rows = [[name, metric.value] for name, metric in metrics.items()]
        return Evaluation(metrics, {"experts": Table(("answers", "accuracy"), rows, "Each expert alone and together.")})


def build(config: AccuracyConfig, context: Context) -> Accuracy:
    """Make the evaluator `lae/accuracy`."""
    return Accuracy(config)
