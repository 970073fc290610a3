"""Numbers of a matrix of accuracies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain_tuning.metrics import drop_since_learned, forgetting, forgetting_including_now, forward_transfer

rates = st.floats(0, 1)
squares = st.integers(1, 5).flatmap(lambda n: st.lists(st.lists(rates, min_size=n, max_size=n), min_size=n, max_size=n))


def test_forward_transfer_is_the_gain_before_a_task_is_learned():
    assert forward_transfer([[0.9, 0.4, 0.2], [0.8, 0.9, 0.5], [0.7, 0.8, 0.9]], [0.1, 0.1, 0.2]) == pytest.approx(0.3)
    assert forward_transfer([[0.9]], [0.5]) == 0.0


@given(squares)
def test_forgetting_is_at_least_the_mean_drop_since_learned(matrix):
    last = len(matrix) - 1
    drops = drop_since_learned(matrix, last)
    assert forgetting(matrix, last) >= (sum(drops) / len(drops) if drops else 0.0) - 1e-12
    assert forgetting_including_now(matrix) >= max(forgetting(matrix, last), 0.0) - 1e-12
