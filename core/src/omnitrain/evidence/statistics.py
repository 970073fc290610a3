"""Means, spreads and intervals over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


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


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return Student's interval of the mean (the values taken as normal), or None for one value or one that is not finite."""
    found = summarise(values)
    if found.spread is None or not math.isfinite(found.mean):
        return None
    half = t_quantile(len(values) - 1, confidence) * found.spread / math.sqrt(len(values))
    return found.mean - half, found.mean + half


def t_quantile(degrees: int, confidence: float = CONFIDENCE) -> float:
    """Return t with P(-t < T < t) = confidence for Student's distribution with so many degrees of freedom.

    Raises ValueError for degrees below 1 and for a confidence outside 0 to 1.
    """
    if degrees < 1 or not 0.0 < confidence < 1.0:
        raise ValueError(f"no quantile for {degrees} degrees of freedom and confidence {confidence}")
    low, high = 0.0, math.pi / 2  # of the angle atan(t / sqrt(degrees)), in which the probability grows from 0 to 1
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _central_probability(middle, degrees) < confidence else (low, middle)
    return math.tan((low + high) / 2) * math.sqrt(degrees)


def _central_probability(angle: float, degrees: int) -> float:
    """Return P(|T| < t) for t = sqrt(degrees) tan(angle): finite sums (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2 == 1
    term, total = (cosine, cosine) if odd else (1.0, 1.0)
    first = 3 if odd else 2
    for k in range(first, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    if not odd:
        return sine * total
    return 2 / math.pi * (angle + (sine * total if degrees > 1 else 0.0))
