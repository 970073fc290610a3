"""From the runs of claims to their numbers. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import log

from omnitrain.api import FinishedRun


def mean_gradient(run: FinishedRun, stage: str) -> float:
    """Return the mean norm of a stage's gradients over its logged lines. Raises DataError where there is none."""
    lines = [float(line["gradient_norm"]) for line in run.lines(stage) if "gradient_norm" in line]
    return sum(lines) / len(lines)


def spreads(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Return, for each kind of scale, |log| of the ratio of gradient norms at ranks 64 and 4: 0 where the rank makes none."""
    found = {}
    for name, run in runs.items():
        found[name] = abs(log(mean_gradient(run, "rank-64") / mean_gradient(run, "rank-4")))
        found["the same rank again"] = abs(log(mean_gradient(run, "again") / mean_gradient(run, "rank-4")))
    return found
