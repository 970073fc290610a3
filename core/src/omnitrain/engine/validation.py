"""Evaluation inside training: the loss on the validation split and the recipe's evaluators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from omnitrain.api.config import UseEvaluator
from omnitrain.api.data import Batch
from omnitrain.api.results import Evaluation, Loss, Metric, Part
from omnitrain.api.run import Run
from omnitrain.engine.batches import count_batches, in_order, to_device
from omnitrain.engine.engine import Engine, evaluating
from omnitrain.engine.evaluate import labelled, measured
from omnitrain.engine.parts import Parts
from omnitrain.engine.rng import isolated
from omnitrain.engine.settings import FitSettings
from omnitrain.engine.tally import MEMBER
from omnitrain.errors import UsageError

SPLIT = "valid"


def check_metric(metric: str, found: Sequence[str]) -> None:
    """Refuse an early stop on what is not among the numbers that were measured. Raises UsageError that lists them."""
    if metric not in found:
        raise UsageError(f"fit.early_stop.metric {metric!r} is never measured; measured are {', '.join(sorted(found))}.")


def _named(loss: Loss, batch: Batch) -> Iterator[tuple[str, Part]]:
    """Yield the parts of a batch's loss by name, and the loss itself under the member of a mixture that the batch is of."""
    yield from loss.parts.items()
    if MEMBER in batch:
        yield f"loss/{batch[MEMBER]}", Part(loss.total, loss.weight)


class Validation:
    """Measures the model during training without changing it or its randomness.

    evaluators: what is measured besides the loss on the split "valid". predictor: makes what they ask.
    """

    def __init__(
        self,
        run: Run,
        parts: Parts,
        engine: Engine,
        settings: FitSettings,
        evaluators: Sequence[UseEvaluator] = (),
        predictor: Callable[[], Any] | None = None,
    ) -> None:
        self._run, self._parts, self._engine, self._settings = run, parts, engine, settings
        self._evaluators, self._predictor = evaluators, predictor

    @property
    def active(self) -> bool:
        """Whether there is anything to measure."""
        return self._has_split or bool(self._evaluators)

    @property
    def _has_split(self) -> bool:
        return self._settings.evaluate_batches > 0 and SPLIT in self._parts.data.splits()

    def check_watched(self) -> None:
        """Refuse an early stop on a part of the loss on the split "valid" that the objective does not tell.

        Raises UsageError that lists those that it tells; one batch is measured to know them, of a mixture more.
        """
        stop = self._settings.early_stop
        if stop is None or stop.metric == f"{SPLIT}/loss" or not stop.metric.startswith(f"{SPLIT}/") or not self._has_split:
            return
        size, data = max(self._settings.batch_size // self._settings.accumulate, 1), self._parts.data
        with isolated(self._run.seed("evaluation")), evaluating(self._parts.model):
            found: list[str] = []
            for batch in in_order(data, SPLIT, size, seed=self._run.seed("evaluation"), most=self._settings.evaluate_batches):
                found += [f"{SPLIT}/{name}" for name in ("loss", *dict(_named(self._forward(batch), batch)))]
                if stop.metric in found or MEMBER not in batch:
                    break
            check_metric(stop.metric, list(dict.fromkeys(found)))

    def run(self, step: int) -> dict[str, float]:
        """Measure everything; return the numbers by "split/name".

        Raises Stopped when the run was asked to stop; the measurement is then repeated after resuming.
        """
        with isolated(self._run.seed("evaluation")), evaluating(self._parts.model):
            values = self._loss(step) if self._has_split else {}
            for label, use in labelled(self._evaluators):
                values.update(self._evaluate(label, use, step))
        return values

    def _loss(self, step: int) -> dict[str, float]:
        settings = self._settings
        size = max(settings.batch_size // settings.accumulate, 1)
        data, most = self._parts.data, settings.evaluate_batches
        total, weight = 0.0, 0.0
        sums: dict[str, list[float]] = {}
        with self._run.progress("validation", count_batches(data, SPLIT, size, most)) as bar:
            for batch in in_order(data, SPLIT, size, seed=self._run.seed("evaluation"), most=most):
                loss = self._forward(batch)
                total, weight = total + float(loss.total), weight + float(loss.weight)
                for name, part in _named(loss, batch):
                    entry = sums.setdefault(name, [0.0, 0.0])
                    entry[0] += float(part.total)
                    entry[1] += float(part.weight)
                bar.advance()
        metrics = {"loss": Metric(total / weight if weight else math.nan, round(weight), "lower")}
        for name, (part_total, part_weight) in sorted(sums.items()):
            if part_weight:
                metrics[name] = Metric(part_total / part_weight, round(part_weight), "lower")
        self._run.report(SPLIT, Evaluation(metrics=metrics), step)
        return {f"{SPLIT}/{name}": metric.value for name, metric in metrics.items()}

    def _forward(self, batch: Batch) -> Loss:
        with torch.no_grad(), self._engine.autocast():
            return self._parts.objective(self._parts.model, to_device(batch, self._engine.device))

    def _evaluate(self, label: str, use: UseEvaluator, step: int) -> dict[str, float]:
        evaluator = self._run.build(use, self._parts.facts)
        predictor = self._predictor() if self._predictor is not None else self._parts.model
        evaluation = measured(label, evaluator, predictor, self._parts.data, self._run)
        self._run.report(label, evaluation, step)
        return {f"{label}/{name}": metric.value for name, metric in evaluation.metrics.items()}
