"""The fit is sound: zero for targets in the space, monotone, blind to numbering."""

from itertools import combinations

import numpy as np
import pytest
from helpers import noisy, shuffled

from omnitrain.errors import DataError
from omnitrain_w2pgnn.paper.feasibility import MixtureFitter, QuickFitter, fit_mixture, fit_quickly
from omnitrain_w2pgnn.paper.graphons.simulation import mixture, synthetic_graphon


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
