"""Evaluator `eft/frontier`: two rewards interpolated while decoding, up-scaled and at the small size (section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omnitrain.api import Context, Evaluation, Figure, Metric, Prepares, Run, Table, UseData
from omnitrain.errors import UsageError
from omnitrain_eft.configs.evaluators import FrontierConfig
from omnitrain_eft.evaluators.teacher_forcing import (
    PartSums,
    batches_of,
    check_dialogues,
    composition_of,
    dialogues_of,
    measure_arms,
    member_logits,
)
from omnitrain_eft.models.composition import CompositionModel

BySize = dict[str, list[float]]
SIZES = ("up-scaled", "small")


def monotone_share(helpful: Sequence[float], safe: Sequence[float]) -> float:
    """Return the share of steps at which the first log-likelihood rises and the second falls."""
    rises, falls = np.diff(helpful) > 0, np.diff(safe) < 0
    return float((rises & falls).mean())


def dominated_share(small: Sequence[tuple[float, float]], large: Sequence[tuple[float, float]]) -> float:
    """Return the share of the small size's points that a point of the up-scaled frontier is at least as good as in both."""
    beaten = [any(b[0] >= a[0] and b[1] >= a[1] for b in large) for a in small]
    return sum(beaten) / len(beaten)


class Frontier:
    """Log-likelihood of two behaviours over lambda."""

    def __init__(self, config: FrontierConfig) -> None:
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: the two data sets of its settings are read."""
        for use in (self.config.helpful, self.config.safe):
            check_dialogues(run.data(use)[0], "eft/frontier", self.config.split)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Read both data sets with all members and combine at every lambda.

        Raises UsageError unless the composition has two experts.
        """
        model = composition_of(predictor, "eft/frontier")
        if len(model.settings.experts) != 2:
            raise UsageError(f"eft/frontier needs two experts; the composition has {len(model.settings.experts)}")
        helpful, content = self._measured(model, self.config.helpful, run)
        safe, _ = self._measured(model, self.config.safe, run)
        return self._evaluation(helpful, safe, content)

    def _measured(self, model: CompositionModel, use: UseData, run: Run) -> tuple[BySize, BySize]:
        """Return mean log-likelihoods of the opening and of the content, by size, over lambda."""
        data = dialogues_of(run.build(use), "eft/frontier")
        if isinstance(data, Prepares):
            data.prepare(run.workspace, run)
        sums = PartSums()
        for batch in batches_of(data, self.config.split, self.config.rows, self.config.batch_size):
            logits = member_logits(model, batch)
            arms = {}
            for weight in self.config.lambdas:
                dials = model.turned(weights=(weight, 1 - weight))
                arms[f"up-scaled {weight:g}"] = logits.composed(dials)
                arms[f"small {weight:g}"] = logits.small_composed(dials)
            measure_arms(sums, arms, None, batch)
        opening = "style" if "style" in sums.parts() else "content"
        found: list[BySize] = []
        for part in (opening, "content"):
            if part not in sums.parts():
                found.append({})
                continue
            by_size: BySize = {}
            for size in SIZES:
                pairs = [sums.of(f"{size} {weight:g}", "nll", part) for weight in self.config.lambdas]
                by_size[size] = [-float(total.sum() / counts.sum()) for total, counts in pairs]
            found.append(by_size)
        return found[0], found[1]

    def _evaluation(self, helpful: BySize, safe: BySize, content: BySize) -> Evaluation:
        metrics: dict[str, Metric] = {}
        rows = []
        count = len(self.config.lambdas)
        for size in SIZES:
            share = monotone_share(helpful[size], safe[size])
            metrics[f"{size}/monotone share"] = Metric(share, count - 1, "higher")
            for number, weight in enumerate(self.config.lambdas):
                values = {"helpful": helpful[size][number], "safe": safe[size][number]}
                if content:
                    values["content"] = content[size][number]
                for name, value in values.items():
                    metrics[f"{size}/lambda {weight:g}/{name}"] = Metric(value, 1, "none", unit="nats/token")
                rows.append([size, weight, *values.values()])
        for size in SIZES if content else ():
            metrics[f"{size}/mean content"] = Metric(float(np.mean(content[size])), count, "higher", unit="nats/token")
            metrics[f"{size}/mean trade-off"] = Metric(
                float(np.mean([h + s for h, s in zip(helpful[size], safe[size], strict=True)])), count, "higher"
            )
        points = {size: list(zip(helpful[size], safe[size], strict=True)) for size in SIZES}
        metrics["dominated share"] = Metric(dominated_share(points["small"], points["up-scaled"]), count, "higher")
        columns = ("size", "lambda", "helpful opening", "safe opening", *(["content"] if content else []))
        table = Table(columns, rows, "Mean log-likelihood (nats a token) of two behaviours as rewards are interpolated.")
        figure = Figure(
            {size: sorted(points[size]) for size in SIZES}, "helpful", "safe", "Log-likelihood of the openings, lambda 0 to 1."
        )
        return Evaluation(metrics, {"frontier": table}, figures={"frontier": figure})


def build(config: FrontierConfig, context: Context) -> Frontier:
    """Make the evaluator `eft/frontier`."""
    return Frontier(config)
