"""Means, shares, ratios and bootstrapped statistics with their intervals, one formula for each.

A number that is not finite gives the value that arithmetic gives, without an interval; of nothing the value is NaN with
n = 0. One item has no interval, equal items have one of no width. Sums are exact (`math.fsum`), so that the order of the
items changes no digit.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from omnitrain.api.figures import Array
from omnitrain.api.results import Direction, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
# Of three items there are ten different resamples, too few to tell a tail of 2.5 %.
FEWEST_TO_RESAMPLE = 4
# From here on the error of four terms of Fisher's expansion is below that of float64.
_MANY_DEGREES = 500


Numbers = Iterable[float] | Array


def mean_metric(
    values: Numbers,
    direction: Direction = "none",
    unit: str = "",
    *,
    weights: Numbers | None = None,
    n: int | None = None,
) -> Metric:
    """Return the mean of values with Student's interval at 95 %, or the weighted mean with that of a ratio.

    values, weights: one number per item, the items independent of each other (texts, episodes, folds: not the tokens of
    one text). n: how many the metric says it rests on, by default the items.
    Raises ValueError for weights of another number, below 0 or not finite.
    """
    numbers = _numbers(values)
    if weights is None:
        return _ratio(numbers, array("d", [1.0]) * len(numbers), direction, unit, n)
    given = _numbers(weights)
    _check_pairs(numbers, given)
    return _ratio([v * w if w else 0.0 for v, w in zip(numbers, given, strict=True)], given, direction, unit, n)


def share_metric(successes: int, n: int, direction: Direction = "higher", unit: str = "") -> Metric:
    """Return successes / n with Wilson's interval at 95 %, for items that succeed or fail independently of each other.

    Raises ValueError when there are more successes than items.
    """
    interval = wilson_interval(successes, n)
    return Metric(successes / n if n else math.nan, int(n), direction, interval, unit)


def ratio_metric(
    numerators: Numbers, denominators: Numbers, direction: Direction = "none", unit: str = "", *, n: int | None = None
) -> Metric:
    """Return sum(numerators) / sum(denominators) with the linearised interval of a ratio at 95 %.

    numerators, denominators: sums per item, for instance the loss and the tokens of each text. The items are independent
    of each other, what is summed within one need not be. n: what the metric says it rests on, by default the items whose
    denominator is above 0; these alone count in the interval.
    Source: Cochran, Sampling Techniques, 3rd edition, equation 6.13 with the sum of denominators for the population's;
    Student's quantile with items - 1 degrees of freedom.
    Raises ValueError for denominators of another number, below 0 or not finite.
    """
    above, below = _numbers(numerators), _numbers(denominators)
    _check_pairs(above, below)
    return _ratio(above, below, direction, unit, n)


def bootstrap_metric(
    statistic: Callable[[NDArray[np.float64]], float],
    values: Any,
    direction: Direction = "none",
    unit: str = "",
    *,
    seed: int,
    draws: int = 1000,
    n: int | None = None,
) -> Metric:
    """Return a statistic with its percentile interval at 95 % over resampled items (Efron 1979).

    values: float64[items, ...], anything that becomes such an array; what belongs to one item stays together.
    statistic: takes an array of the same number of items. seed: of the draws, from `run.seed`. n: by default the items.
    Draws for which the statistic is not finite are left out; when they are half or more, for fewer than four items, no
    draws or a value that is not finite there is no interval.
    """
    import numpy as np

    items = np.asarray(values, dtype=np.float64)
    count = len(items)
    value = float(statistic(items)) if count else math.nan
    interval = None
    if count >= FEWEST_TO_RESAMPLE and draws > 0 and math.isfinite(value):
        generator = np.random.Generator(np.random.PCG64(seed))
        found = np.array([statistic(items[generator.integers(0, count, count)]) for _ in range(draws)], np.float64)
        finite = found[np.isfinite(found)]
        if 2 * len(finite) > draws:
            tail = (1 - CONFIDENCE) / 2
            low, high = np.quantile(finite, [tail, 1 - tail])
            interval = (float(low), float(high))
    return Metric(value, count if n is None else n, direction, interval, unit)


class RatioMean:
    """Sums over weights per item, added batch by batch; see `ratio_metric`.

    direction, unit: of the metric.
    """

    def __init__(self, direction: Direction = "none", unit: str = "") -> None:
        self.direction: Direction = direction
        self.unit = unit
        self._sums, self._weights = array("d"), array("d")
        self._n: int | None = None

    def add(self, sums: Numbers, weights: Numbers | None = None, n: int | None = None) -> None:
        """Add items. sums: one number per item. weights: by default 1 each. n: how many the metric should count for them.

        Raises ValueError for weights of another number, below 0 or not finite.
        """
        above = _numbers(sums)
        below = array("d", [1.0]) * len(above) if weights is None else _numbers(weights)
        _check_pairs(above, below)
        self._sums.extend(above)
        self._weights.extend(below)
        if n is not None:
            self._n = (self._n or 0) + n

    @property
    def weight(self) -> float:
        """The sum of weights; 0 when nothing was measured."""
        return math.fsum(self._weights)

    def metric(self) -> Metric:
        """Return the ratio of the sums with its interval; NaN and n = 0 when nothing was measured."""
        return _ratio(self._sums, self._weights, self.direction, self.unit, self._n)


def mean_interval(values: Numbers, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return Student's interval of the mean (the values taken as normal), or None for one value or one that is not finite.

    Raises ValueError for a confidence outside 0 to 1.
    """
    numbers = _numbers(values)
    mean, error = _linearised(numbers, array("d", [1.0]) * len(numbers))
    return _around(mean, error, len(numbers), confidence)


def wilson_interval(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return Wilson's score interval of a share (Wilson 1927), or None without items.

    Raises ValueError when there are more successes than items, and for a confidence outside 0 to 1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} items; expected 0 to {n}")
    if n == 0:
        return None
    share, z = successes / n, normal_quantile(confidence)
    stretch = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / stretch
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / stretch
    return (0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)


def normal_quantile(confidence: float = CONFIDENCE) -> float:
    """Return z with P(-z < Z < z) = confidence for the standard normal distribution.

    Raises ValueError for a confidence outside 0 to 1.
    """
    from statistics import NormalDist

    if not 0.0 < confidence < 1.0:
        raise ValueError(f"no quantile for confidence {confidence}; expected above 0 and below 1")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def t_quantile(degrees: int, confidence: float = CONFIDENCE) -> float:
    """Return t with P(-t < T < t) = confidence for Student's distribution with so many degrees of freedom.

    Raises ValueError for degrees below 1 and for a confidence outside 0 to 1.
    """
    if degrees < 1 or not 0.0 < confidence < 1.0:
        raise ValueError(f"no quantile for {degrees} degrees of freedom and confidence {confidence}")
    if degrees >= _MANY_DEGREES:
        return _expanded(normal_quantile(confidence), degrees)
    low, high = 0.0, math.pi / 2  # of the angle atan(t / sqrt(degrees)), in which the probability grows from 0 to 1
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _central_probability(middle, degrees) < confidence else (low, middle)
    return math.tan((low + high) / 2) * math.sqrt(degrees)


def t_tail(t: float, degrees: int) -> float:
    """Return P(T > t) for Student's distribution; a small tail is good to about 1e-16, absolutely."""
    half = (1 - _central_probability(math.atan(abs(t) / math.sqrt(degrees)), degrees)) / 2
    return half if t > 0 else 1 - half


def _expanded(z: float, degrees: int) -> float:
    """Return Student's quantile from the normal one (Fisher's expansion; Abramowitz and Stegun, 26.7.5)."""
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(degrees) ** (i + 1) for i, term in enumerate(terms))


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


def _numbers(values: Numbers) -> array[float]:
    listed = values.tolist() if hasattr(values, "tolist") else values
    try:
        return array("d", listed)
    except TypeError as error:
        raise ValueError(f"expected one number per item, a list or an array of one dimension, not {values!r:.60}") from error


def _check_pairs(above: array[float], below: array[float]) -> None:
    if len(above) != len(below):
        raise ValueError(f"{len(above)} values and {len(below)} weights; expected as many of each")
    wrong = next((w for w in below if not 0.0 <= w < math.inf), None)
    if wrong is not None:
        raise ValueError(f"a weight of {wrong}; expected finite numbers of at least 0")


def _linearised(above: Iterable[float], below: array[float]) -> tuple[float, float]:
    """Return the ratio of the sums and its standard error: the spread of the residuals above - ratio * below."""
    above = list(above)
    total = _sum(below)
    if total == 0:
        return math.nan, math.nan
    ratio = _sum(above) / total
    if not math.isfinite(ratio):
        return ratio, math.nan
    items = sum(w > 0 for w in below)
    if items < 2:
        return ratio, math.nan
    residuals = [a - ratio * b for a, b in zip(above, below, strict=True)]
    squares = _sum(r * r for r in residuals)
    return ratio, math.sqrt(items / (items - 1) * squares) / total


def _sum(values: Iterable[float]) -> float:
    """Return the exact sum, or what plain addition gives where that is not finite."""
    values = list(values)
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return sum(values)


def _around(value: float, error: float, items: int, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    quantile = t_quantile(max(items - 1, 1), confidence)
    if items < 2 or not math.isfinite(error):
        return None
    return value - quantile * error, value + quantile * error


def _ratio(above: Iterable[float], below: array[float], direction: Direction, unit: str, n: int | None) -> Metric:
    ratio, error = _linearised(above, below)
    items = sum(w > 0 for w in below)
    return Metric(ratio, items if n is None else n, direction, _around(ratio, error, items), unit)
