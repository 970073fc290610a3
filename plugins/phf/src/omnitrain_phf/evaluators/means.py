"""Means with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from omnitrain.api import Metric


def mean_metric(values: Sequence[float], direction: Any = "lower", unit: str = "") -> Metric:
    """Return a mean with its 95 % interval."""
    interval = None
    if len(values) > 1:
        error = 1.96 * stdev(values) / math.sqrt(len(values))
        interval = (fmean(values) - error, fmean(values) + error)
    return Metric(fmean(values), len(values), direction, interval, unit)
