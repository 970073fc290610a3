"""Metrics and their intervals: the published formulas, by values of other programs and by laws that hold for all numbers."""

import json
import math
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.api import (
    Metric,
    RatioMean,
    bootstrap_metric,
    mean_interval,
    mean_metric,
    ratio_metric,
    share_metric,
    wilson_interval,
)
from omnitrain.api.measures import normal_quantile, t_quantile

VALUES = [0.31, -1.2, 4.5, 2.25, 0.0, 7.125, -3.75]
WEIGHTS = [1.0, 2.0, 0.5, 1.0, 3.0, 1.0, 2.0]
SUMS, COUNTS = [3.2, 10.1, 0.7, 5.5, 8.8], [2.0, 6.0, 1.0, 3.0, 5.0]

finite = st.floats(-1e6, 1e6)
several = st.lists(finite, min_size=2, max_size=30)
pairs = st.lists(st.tuples(finite, st.floats(0.5, 1e3)), min_size=2, max_size=30)


def bounds(metric: Metric) -> tuple[float, float]:
    """Return an interval that must be there."""
    assert metric.interval is not None
    return metric.interval


# scipy 1.17.1: scipy.stats.t.ppf(0.975, degrees)
@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [
        (1, 12.706204736174694),
        (2, 4.302652729749462),
        (3, 3.1824463052837078),
        (10, 2.228138851986274),
        (30, 2.0422724563012378),
        (99, 1.9842169515864174),
        (499, 1.9647293909876886),
        (500, 1.9647198374673676),
        (1000, 1.9623390808264083),
        (100_000, 1.9599877075346095),
    ],
)
def test_students_quantile_is_scipys_also_where_the_expansion_takes_over(degrees: int, quantile: float) -> None:
    assert t_quantile(degrees) == pytest.approx(quantile, rel=1e-11)


def test_quantiles_of_another_confidence_and_their_limits() -> None:
    assert t_quantile(4, 0.99) == pytest.approx(4.604094871349992, rel=1e-11)  # scipy.stats.t.ppf(0.995, 4)
    assert normal_quantile() == pytest.approx(1.959963984540054, rel=1e-14)  # scipy.stats.norm.ppf(0.975)
    for degrees, confidence in ((0, 0.95), (3, 0.0), (3, 1.0), (1000, 1.0)):
        with pytest.raises(ValueError, match="no quantile"):
            t_quantile(degrees, confidence)


def test_mean_has_students_interval() -> None:
    # statsmodels 0.15.0: DescrStatsW(VALUES).tconfint_mean()
    metric = mean_metric(VALUES, "higher", "m")
    assert metric.value == pytest.approx(1.3192857142857142, rel=1e-12)
    assert bounds(metric) == pytest.approx((-2.047057982529661, 4.68562941110109), rel=1e-9)
    assert (metric.n, metric.direction, metric.unit) == (7, "higher", "m")
    assert mean_interval(VALUES) == metric.interval
    assert mean_metric(VALUES, n=1200).n == 1200


def test_weighted_mean_has_the_interval_of_a_ratio() -> None:
    # statsmodels: WLS(VALUES, ones((7, 1)), weights=WEIGHTS).fit(cov_type="HC1", use_t=True).conf_int()
    metric = mean_metric(VALUES, weights=WEIGHTS)
    assert metric.value == pytest.approx(0.19380952380952388, rel=1e-9)
    assert bounds(metric) == pytest.approx((-2.6455327900043883, 3.0331518376234365), rel=1e-9)


def test_ratio_has_the_linearised_interval() -> None:
    # statsmodels: WLS(SUMS, array(COUNTS)[:, None], weights=1 / array(COUNTS)).fit(cov_type="HC1", use_t=True).conf_int()
    metric = ratio_metric(SUMS, COUNTS, "lower", "nats/token", n=17)
    assert metric.value == pytest.approx(1.6647058823529408, rel=1e-12)
    assert bounds(metric) == pytest.approx((1.4453729386300382, 1.8840388260758434), rel=1e-9)
    assert (metric.n, metric.direction, metric.unit) == (17, "lower", "nats/token")


@pytest.mark.parametrize(
    ("successes", "n", "interval"),
    [
        (0, 10, (0.0, 0.27753279986288926)),
        (3, 10, (0.10779126740630104, 0.6032218525388546)),
        (10, 10, (0.7224672001371106, 1.0)),
        (37, 1000, (0.026961180875554734, 0.05058239748206931)),
        (1, 3, (0.06149194472039626, 0.7923403991979523)),
    ],
)
def test_share_has_wilsons_interval(successes: int, n: int, interval: tuple[float, float]) -> None:
    # statsmodels: proportion_confint(successes, n, method="wilson")
    metric = share_metric(successes, n)
    assert metric.value == successes / n
    assert bounds(metric) == pytest.approx(interval, rel=1e-9, abs=1e-15)


def test_more_successes_than_items_are_refused() -> None:
    for successes, n in ((11, 10), (-1, 10), (1, 0)):
        with pytest.raises(ValueError, match="successes of"):
            share_metric(successes, n)


def test_bootstrap_is_near_the_interval_of_scipy_and_the_same_for_a_seed() -> None:
    # scipy: bootstrap((VALUES,), mean, n_resamples=2000, method="percentile", random_state=default_rng(7)) gives
    # -1.093 to 3.848; another generator draws other samples.
    metric = bootstrap_metric(np.mean, VALUES, seed=7, draws=4000)
    assert metric.value == pytest.approx(np.mean(VALUES))
    assert bounds(metric) == pytest.approx((-1.093, 3.848), abs=0.25)
    assert bootstrap_metric(np.mean, VALUES, seed=7, draws=4000) == metric
    assert bootstrap_metric(np.mean, VALUES, seed=8, draws=4000) != metric


def test_bootstrap_keeps_together_what_belongs_to_an_item() -> None:
    pairs = [(float(i), 2.0 * i) for i in range(9)]
    metric = bootstrap_metric(lambda items: float(items[:, 1].sum() / items[:, 0].sum()), pairs, seed=0, draws=50)
    assert metric.interval == (2.0, 2.0)


def test_bootstrap_leaves_out_undefined_draws_and_gives_up_when_they_are_half() -> None:
    def needs_first(items: np.ndarray) -> float:
        return float(items.mean()) if 0.0 in items else math.nan

    def needs_all(items: np.ndarray) -> float:
        return float(items.mean()) if len(set(items)) == 8 else math.nan

    values = [float(i) for i in range(8)]
    assert bootstrap_metric(needs_first, values, seed=0, draws=200).interval is not None
    assert bootstrap_metric(needs_all, values, seed=0, draws=200) == Metric(3.5, 8)
    assert bootstrap_metric(np.mean, values[:3], seed=0).interval is None
    assert bootstrap_metric(np.mean, values, seed=0, draws=0).interval is None


def test_of_nothing_the_value_is_nan_and_counts_no_items() -> None:
    for metric in (
        mean_metric([]),
        mean_metric([1.0, 2.0], weights=[0.0, 0.0]),
        share_metric(0, 0),
        ratio_metric([], []),
        bootstrap_metric(np.mean, [], seed=0),
        RatioMean().metric(),
    ):
        assert math.isnan(metric.value)
        assert (metric.n, metric.interval) == (0, None)


def test_one_item_has_no_interval_and_equal_items_have_one_without_width() -> None:
    assert mean_metric([3.0]) == Metric(3.0, 1)
    assert ratio_metric([6.0, 0.0], [2.0, 0.0]) == Metric(3.0, 1)
    assert mean_metric([3.0] * 5) == Metric(3.0, 5, "none", (3.0, 3.0))


@pytest.mark.parametrize(
    ("values", "mean"),
    [([1.0, math.nan], math.nan), ([1.0, math.inf], math.inf), ([math.inf, -math.inf], math.nan), ([1e308, 1e308], math.inf)],
)
def test_numbers_that_are_not_finite_give_no_interval(values: list[float], mean: float) -> None:
    metric = mean_metric(values)
    assert metric.value == pytest.approx(mean, nan_ok=True)
    assert metric.interval is None


def test_spread_too_large_for_a_float_gives_no_interval() -> None:
    assert mean_metric([1e200, -1e200, 0.0]) == Metric(0.0, 3)


def test_weights_that_make_no_sense_are_refused() -> None:
    for weights in ([1.0, -1.0], [1.0, math.nan], [1.0, math.inf]):
        with pytest.raises(ValueError, match="a weight of"):
            ratio_metric([1.0, 1.0], weights)
    with pytest.raises(ValueError, match="2 values and 3 weights"):
        ratio_metric([1.0, 1.0], [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="one number per item"):
        mean_metric(np.ones((2, 2)))


def test_value_of_weight_zero_is_not_looked_at() -> None:
    assert mean_metric([1.0, math.nan, 3.0], weights=[1, 0, 1]).value == 2.0


def test_arrays_are_numbers_too() -> None:
    assert mean_metric(np.array(VALUES)) == mean_metric(VALUES)
    assert mean_metric(iter(VALUES)) == mean_metric(VALUES)
    assert mean_metric(np.array([True, False])).value == 0.5


def test_batches_added_one_by_one_give_the_metric_of_all() -> None:
    mean = RatioMean("lower", "nats/token")
    mean.add(SUMS[:2], COUNTS[:2], n=8)
    mean.add(np.array(SUMS[2:]), np.array(COUNTS[2:]), n=9)
    assert mean.metric() == ratio_metric(SUMS, COUNTS, "lower", "nats/token", n=17)
    assert mean.weight == 17.0
    plain = RatioMean()
    plain.add(VALUES[:3])
    plain.add(VALUES[3:])
    assert plain.metric() == mean_metric(VALUES)


@given(several, st.floats(-1e3, 1e3))
def test_interval_holds_the_mean_and_moves_with_the_numbers(values: list[float], shift: float) -> None:
    metric = mean_metric(values)
    low, high = bounds(metric)
    assert low <= metric.value <= high
    moved = bounds(mean_metric([value + shift for value in values]))
    assert moved == pytest.approx((low + shift, high + shift), abs=1e-5 * (1 + max(map(abs, values))))


@given(pairs, st.randoms(use_true_random=False))
def test_order_of_items_changes_no_digit(items: list[tuple[float, float]], order: random.Random) -> None:
    mixed = order.sample(items, len(items))
    found = [ratio_metric([a for a, _ in pairs], [b for _, b in pairs]) for pairs in (items, mixed)]
    assert found[0] == found[1]


@given(pairs)
def test_ratio_lies_in_its_interval_and_repeated_items_make_it_narrower(items: list[tuple[float, float]]) -> None:
    above, below = [a for a, _ in items], [b for _, b in items]
    metric = ratio_metric(above, below)
    low, high = bounds(metric)
    assert low <= metric.value <= high
    again = bounds(ratio_metric(above * 4, below * 4))
    assert again[1] - again[0] <= (high - low) * (1 + 1e-9)


@given(st.integers(1, 500), st.data())
def test_wilson_interval_holds_the_share_stays_in_zero_to_one_and_shrinks(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    low, high = wilson_interval(successes, n) or (math.nan, math.nan)
    assert 0.0 <= low <= successes / n <= high <= 1.0
    again = wilson_interval(4 * successes, 4 * n) or (math.nan, math.nan)
    assert again[1] - again[0] < high - low
    mirrored = wilson_interval(n - successes, n) or (math.nan, math.nan)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(several, st.integers(0, 2**32))
def test_bootstrapped_mean_stays_within_the_numbers(values: list[float], seed: int) -> None:
    metric = bootstrap_metric(np.mean, values, seed=seed, draws=20)
    if metric.interval is not None:
        low, high = metric.interval
        slack = 1e-9 * max(map(abs, values))
        assert min(values) - slack <= low <= high <= max(values) + slack


def test_a_mean_needs_no_numpy() -> None:
    program = (
        "from omnitrain.api import mean_metric; mean_metric([1.0, 2.0]); import sys, json; print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "pydantic"} & set(json.loads(done.stdout))
