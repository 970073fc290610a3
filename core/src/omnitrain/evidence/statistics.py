"""Means, spreads, p values and power over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from omnitrain.api.claims import LEVEL
from omnitrain.api.measures import t_quantile, t_tail

POWER = 0.8
MOST_SEEDS = 1000
SIMPSON = 400
# Squares of smaller differences have no place in float64.
NOTHING = 1e-150


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


def mean_p(values: Sequence[float], threshold: float = 0.0) -> float | None:
    """Return twice the one-sided p of "the mean lies above the threshold" (at most 1), or None where nothing varies.

    It is below a level exactly where Student's interval of the mean at that level begins above the threshold.
    """
    found = summarise(values)
    if found.spread is None or not math.isfinite(found.mean) or no_spread(values):
        return None
    t = (found.mean - threshold) * math.sqrt(len(values)) / found.spread
    return min(1.0, 2 * t_tail(t, len(values) - 1))


def no_spread(values: Sequence[float]) -> bool:
    """Whether values over seeds are equal up to rounding, so that they are one measurement."""
    low, high = min(values), max(values)
    return high - low <= max(1e-12 * max(abs(low), abs(high)), NOTHING)


def power(effect: float, count: int, level: float = LEVEL) -> float:
    """Return the probability that `count` seeds show a mean of `effect` standard deviations, above zero at a two-sided level.

    The noncentral t distribution, integrated over the spread's chi distribution with Simpson's rule.
    """
    degrees = count - 1
    critical, shift = _quantile(degrees, level), effect * math.sqrt(count)
    scale = math.log(2) * (1 - degrees / 2) - math.lgamma(degrees / 2) + math.log(degrees) / 2
    width = 10 / math.sqrt(2 * degrees)  # the spread over its expectation is close to 1 with a standard deviation of a tenth
    low, high = max(0.0, 1 - width), 1 + width

    def density(s: float) -> float:
        x = s * math.sqrt(degrees)
        chi = math.exp(scale + (degrees - 1) * math.log(x) - x * x / 2) if x else float(degrees == 1) * math.exp(scale)
        return chi * _normal(shift - critical * s)

    step = (high - low) / SIMPSON
    inner = sum((4 if i % 2 else 2) * density(low + i * step) for i in range(1, SIMPSON))
    return min(1.0, (density(low) + inner + density(high)) * step / 3)


@lru_cache
def detectable(count: int, level: float = LEVEL, wanted: float = POWER) -> float:
    """Return the smallest effect, in standard deviations, that `count` seeds show with the wanted probability."""
    low, high = 0.0, 1.0
    while power(high, count, level) < wanted:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle, count, level) < wanted else (low, middle)
    return high


def seeds_needed(effect: float, level: float = LEVEL, wanted: float = POWER, most: int = MOST_SEEDS) -> int | None:
    """Return how many seeds show an effect (in standard deviations) with the wanted probability; None: more than `most`."""
    if effect <= 0 or power(effect, most, level) < wanted:
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if power(effect, middle, level) < wanted else (low, middle)
    return high


def holm(values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p values of a family, in the order given.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).
    """
    found, running = [0.0] * len(values), 0.0
    for rank, i in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        running = max(running, min(1.0, (len(values) - rank) * values[i]))
        found[i] = running
    return found


@lru_cache
def _quantile(degrees: int, level: float) -> float:
    return t_quantile(degrees, 1 - level)


def _normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2
