"""Correlation coefficients."""

import pytest

from omnitrain_w2pgnn.stages.coefficients import bootstrap_interval, pearson, spearman


def test_correlations_know_order_ties_and_series_that_do_not_vary():
    assert pearson([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [1, 10, 100, 90]) == pytest.approx(0.8)
    assert pearson([1, 1, 1], [1, 2, 3]) == 0
    low, high = bootstrap_interval(pearson, list(range(20)), [x + (x % 3) for x in range(20)], 200, 0)
    assert 0.9 < low < high <= 1
    assert bootstrap_interval(pearson, [1, 2], [1, 2], 100, 0) is None
