"""The distance: zero for a renumbered graphon, symmetric, no worse than POT's."""

from itertools import combinations

import numpy as np
import ot
import pytest
from helpers import noisy, shuffled

from omnitrain.errors import UsageError
from omnitrain_w2pgnn.paper.graphons.simulation import synthetic_graphon
from omnitrain_w2pgnn.paper.transport import gromov_wasserstein, refine, squared_distance, starting_couplings


@pytest.mark.parametrize("kind", range(13))
@pytest.mark.parametrize("size", [12, 32])
def test_a_renumbered_graphon_is_at_distance_zero(kind, size):
    graphon = synthetic_graphon(kind, size)
    for seed in range(3):
        assert gromov_wasserstein(graphon, shuffled(graphon, seed)).distance <= 1e-6


def test_distance_is_symmetric_and_never_nan():
    for first, second in combinations(noisy(4, 10, 0), 2):
        there, back = gromov_wasserstein(first, second), gromov_wasserstein(second, first)
        assert there.squared >= 0
        assert there.distance == pytest.approx(back.distance, rel=2e-2)


def test_couplings_have_uniform_marginals_and_the_loss_they_say():
    first, second = noisy(2, 9, 1)
    found = gromov_wasserstein(first, second)
    np.testing.assert_allclose(found.coupling.sum(axis=0), 1 / 9)
    np.testing.assert_allclose(found.coupling.sum(axis=1), 1 / 9)
    direct = sum(
        (first[i, k] - second[j, m]) ** 2 * found.coupling[i, j] * found.coupling[k, m]
        for i in range(9)
        for j in range(9)
        for k in range(9)
        for m in range(9)
    )
    assert found.squared == pytest.approx(direct, abs=1e-10)


def test_local_search_ends_no_higher_than_pot_from_the_same_start():
    for seed in range(5):
        first, second = noisy(2, 14, seed)
        weights = np.full(14, 1 / 14)
        theirs = ot.gromov.gromov_wasserstein(first, second, weights, weights, "square_loss", symmetric=True)
        ours = refine(first, second, np.full((14, 14), 14**-2.0))
        assert ours.squared <= squared_distance(first, second, theirs) * 1.02


def test_other_sizes_and_weights_go_to_pot():
    first, second = noisy(2, 8, 0)[0], noisy(1, 5, 1)[0]
    found = gromov_wasserstein(first, second, randoms=2)
    np.testing.assert_allclose(found.coupling.sum(axis=1), 1 / 8)
    p = np.arange(1, 9) / 36
    found = gromov_wasserstein(first, first, p, p, randoms=2)
    np.testing.assert_allclose(found.coupling.sum(axis=1), p)
    assert found.squared == pytest.approx(0, abs=1e-9)


def test_starts_hold_the_product_and_permutations():
    starts = starting_couplings(*noisy(2, 6, 0), randoms=3)
    for start in starts:
        np.testing.assert_allclose(start.sum(axis=0), 1 / 6)
        np.testing.assert_allclose(start.sum(axis=1), 1 / 6)


def test_whole_numbers_give_the_distance_of_the_same_floats():
    first = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    weights = np.array([0.5, 0.1, 0.2, 0.1, 0.1])
    for second in (first[::-1, ::-1] * 2, first[:4, :4]):
        p = weights if len(second) == 5 else None
        whole, real = (gromov_wasserstein(first.astype(t), second.astype(t), p, p, randoms=2) for t in (np.int64, np.float64))
        assert whole.squared == real.squared > 0
        np.testing.assert_allclose(whole.coupling.sum(), 1)


@pytest.mark.parametrize(
    ("first", "p", "message"),
    [
        (np.full((3, 3), np.nan), None, "first: the matrix holds NaN"),
        (np.ones((3, 2)), None, r"first: a matrix of shape \[3, 2\]; expected a square one"),
        (np.triu(np.ones((3, 3))), None, "first: the matrix is not symmetric"),
        (np.ones((3, 3)), np.ones(3), "p: expected 3 node weights, none below 0, of sum 1; found"),
        (np.ones((3, 3)), np.array([0.5, 0.5]), "p: expected 3 node weights"),
    ],
)
def test_what_is_no_graph_has_no_distance(first, p, message):
    with pytest.raises(UsageError, match=message):
        gromov_wasserstein(first, np.ones((3, 3)), p)
