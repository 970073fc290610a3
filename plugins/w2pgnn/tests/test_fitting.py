"""The fit is sound: zero for targets in the space, monotone, blind to numbering; selection equals brute force."""

from itertools import combinations

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.errors import DataError
from omnitrain_w2pgnn.paper import selection
from omnitrain_w2pgnn.paper.feasibility import MixtureFitter, QuickFitter, fit_mixture, fit_quickly
from omnitrain_w2pgnn.paper.graphons.simulation import mixture, synthetic_graphon
from omnitrain_w2pgnn.paper.selection import choose, rank_subsets
from omnitrain_w2pgnn.paper.simplex import minimise, project, screen
from omnitrain_w2pgnn.paper.transport import gromov_wasserstein, refine, squared_distance, starting_couplings


def noisy(count, size, seed):
    """Return symmetric random graphons, rough and of different density."""
    generator = np.random.default_rng(seed)
    found = generator.random((count, size, size)) * generator.random((count, 1, 1))
    return (found + found.transpose(0, 2, 1)) / 2


def shuffled(matrix, seed):
    order = np.random.default_rng(seed).permutation(len(matrix))
    return matrix[np.ix_(order, order)]


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


@pytest.mark.parametrize("kinds", [(0, 4, 6), (11, 12, 3), (9, 10, 1)])
def test_planted_mixtures_are_found_whatever_the_numbering(kinds):
    bases = np.stack([synthetic_graphon(k, 16) for k in kinds])
    target = mixture(np.array([0.6, 0.3, 0.1]), bases)
    for seed in range(3):
        found = fit_mixture(bases, shuffled(target, seed))
        assert found.distance <= 1e-6


def test_renumbering_all_bases_together_changes_nothing():
    bases, target = noisy(3, 12, 2), noisy(1, 12, 3)[0]
    order = np.random.default_rng(0).permutation(12)
    plain = fit_mixture(bases, target).distance
    assert fit_mixture(bases[:, order][:, :, order], target).distance == pytest.approx(plain, rel=2e-2)
    assert fit_mixture(bases, shuffled(target, 1)).distance == pytest.approx(plain, rel=2e-2)


@pytest.mark.parametrize("seed", range(4))
def test_adding_a_basis_never_makes_it_worse(seed):
    fitter = MixtureFitter(noisy(4, 10, seed), noisy(1, 10, 50 + seed)[0], 4)
    for size in range(2, 5):
        for members in combinations(range(4), size):
            limit = min(fitter.fit([m for m in members if m != out]).distance for out in members)
            assert fitter.fit(members).distance <= limit


def test_the_mixture_is_no_worse_than_single_bases_and_their_mean():
    for seed in range(5):
        fitter = MixtureFitter(noisy(6, 9, seed), noisy(1, 9, 90 + seed)[0], 4)
        found = fitter.fit()
        assert found.distance <= min(fitter.fit([i]).distance for i in range(6)) + 1e-12
        assert found.weights.sum() == pytest.approx(1)
        assert found.weights.min() >= 0


@pytest.mark.parametrize("seed", range(4))
def test_a_quick_search_is_no_worse_than_its_bases_and_no_better_than_a_thorough_one(seed):
    bases, target = noisy(3, 12, seed), noisy(1, 12, 60 + seed)[0]
    quick = QuickFitter(bases, target)
    found = quick.fit()
    assert found.distance <= min(quick.fit([i]).distance for i in range(3))
    assert found.distance >= fit_mixture(bases, target).distance - 1e-12
    assert found.weights.sum() == pytest.approx(1)


def test_a_quick_search_finds_a_target_that_is_in_the_space():
    bases = np.stack([synthetic_graphon(k, 16) for k in (0, 4, 6)])
    target = mixture(np.array([0.6, 0.3, 0.1]), bases)
    assert fit_quickly(bases, target).distance <= 1e-6


def test_other_seeds_give_the_same_feasibility():
    bases, target = noisy(3, 12, 7), noisy(1, 12, 8)[0]
    found = [fit_mixture(bases, target, seed=seed).distance for seed in range(4)]
    assert max(found) - min(found) <= 0.02 * min(found)


def test_constant_and_duplicate_bases_are_no_trouble():
    flat = np.full((8, 8), 0.3)
    found = fit_mixture(np.stack([flat, flat, np.zeros((8, 8))]), np.full((8, 8), 0.2))
    assert found.distance <= 1e-6
    assert np.isfinite(found.weights).all()


def test_wrong_shapes_and_values_are_refused():
    with pytest.raises(DataError, match="resize to one size"):
        MixtureFitter(np.zeros((2, 3, 3)), np.zeros((4, 4)))
    with pytest.raises(DataError, match="not finite"):
        MixtureFitter(np.full((1, 3, 3), np.nan), np.zeros((3, 3)))


@given(st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_quadratic_programs_are_solved_exactly(count, seed):
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(count, count + 2))
    q, b = factor @ factor.T, generator.normal(size=count)
    point = minimise(q, b)
    assert point.min() >= 0
    assert point.sum() == pytest.approx(1)
    value = point @ q @ point - 2 * b @ point
    tries = project(generator.normal(size=(300, count)))
    others = np.einsum("ri,ij,rj->r", tries, q, tries) - 2 * tries @ b
    assert value <= others.min() + 1e-9
    near, values = screen(q, b[None], 400)
    assert values[0] >= value - 1e-9
    assert near.sum() == pytest.approx(1)


def fitters(seed=0, count=6):
    return [MixtureFitter(noisy(count, 8, seed), target, 2) for target in noisy(2, 8, seed + 10)]


def brute_force(found, budget):
    sets = combinations(range(len(found[0].bases)), budget)
    return min(sets, key=lambda s: np.mean([f.fit(s).distance for f in found]))


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_selection_equals_brute_force(budget):
    found = fitters()
    assert choose(found, budget, False, 1000, 4)[0].members == brute_force(found, budget)


def test_screened_selection_equals_brute_force(monkeypatch):
    monkeypatch.setattr(selection, "REFINED", 8)
    found = fitters(3)
    ranked = rank_subsets(found, list(combinations(range(6), 3)), refined=8)
    assert ranked[0].members == brute_force(found, 3)
    assert [r.refined for r in ranked] == [True] * 8 + [False] * 12


def test_beam_search_finds_as_good_a_selection_of_few_candidates():
    found = fitters(5)
    beam = choose(found, 3, False, 0, 4)[0]
    best = choose(found, 3, False, 1000, 4)[0]
    assert beam.score >= best.score - 0.02 * abs(best.score)


def test_fewer_candidates_are_taken_where_that_is_allowed():
    target = noisy(1, 8, 1)[0]
    fitter = MixtureFitter(np.concatenate([target[None], noisy(3, 8, 4)]), target, 2)
    assert choose([fitter], 3, True, 1000, 4)[0].members == (0,)


def test_starts_hold_the_product_and_permutations():
    starts = starting_couplings(*noisy(2, 6, 0), randoms=3)
    for start in starts:
        np.testing.assert_allclose(start.sum(axis=0), 1 / 6)
        np.testing.assert_allclose(start.sum(axis=1), 1 / 6)
