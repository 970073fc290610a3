"""Means and spreads over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Numbers of several seeds. spread: standard deviation of a sample, None for one seed."""

    mean: float
    spread: float | None
    per_seed: tuple[float, ...]


def summarise(values: Sequence[float]) -> Summary:
    """Summarise one number over seeds; mean and spread are NaN when one of the values is not finite."""
    numbers = tuple(float(v) for v in values)
    if not all(math.isfinite(v) for v in numbers):
        return Summary(math.nan, math.nan, numbers)
    spread = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Summary(statistics.fmean(numbers), spread, numbers)
