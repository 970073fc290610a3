"""Statistics of episodes: rates with Wilson intervals, interquartile means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def wilson(successes: int, trials: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Return the Wilson score interval of a rate, by default at 95 %; (0, 1) without trials.

    Raises ValueError when there are more successes than trials.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if trials == 0:
        return 0.0, 1.0
    rate = successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(values: Sequence[float], z: float = 1.959963984540054) -> tuple[float, float, float]:
    """Return (mean, low, high) with the normal 95 % interval of the mean; one value has no width."""
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    half = z * float(array.std(ddof=1)) / math.sqrt(len(array)) if len(array) > 1 else 0.0
    return mean, mean - half, mean + half


def interquartile_mean(values: Sequence[float]) -> float:
    """Return the mean of the middle half (Agarwal et al. 2021): a quarter is cut off at each end, fractions counted."""
    array = np.sort(np.asarray(values, dtype=np.float64))
    edges = np.arange(len(array) + 1) / len(array)
    weights = np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0.0, None)
    return float((array * weights).sum() / weights.sum())
