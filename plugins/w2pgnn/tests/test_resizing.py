"""Graphons on another grid."""

import numpy as np
import pytest

from omnitrain_w2pgnn.paper.graphons.resizing import resize_average, resize_bilinear


def test_averaging_keeps_density_and_commutes_with_mixing():
    a, b = np.random.default_rng(0).random((2, 7, 7))
    assert resize_average(a, 5).mean() == pytest.approx(a.mean())
    assert resize_average(a, 16).mean() == pytest.approx(a.mean())
    mixed = resize_average(0.3 * a + 0.7 * b, 5)
    np.testing.assert_allclose(mixed, 0.3 * resize_average(a, 5) + 0.7 * resize_average(b, 5))
    np.testing.assert_array_equal(resize_bilinear(a, 7), a)
