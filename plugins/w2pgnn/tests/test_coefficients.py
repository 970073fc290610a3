"""Correlation coefficients."""

import pytest

from omnitrain_w2pgnn.stages.coefficients import pearson, spearman


def test_correlations_know_order_ties_and_series_that_do_not_vary():
    assert pearson([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [1, 10, 100, 90]) == pytest.approx(0.8)
    assert spearman([1, 1, 2], [3, 3, 5]) == pytest.approx(1)
    assert pearson([1, 1, 1], [1, 2, 3]) == 0
    assert pearson([1], [1]) == 0
