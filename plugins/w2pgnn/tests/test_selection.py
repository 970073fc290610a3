"""Selection equals brute force."""

from itertools import combinations

import numpy as np
import pytest
from helpers import noisy

from omnitrain_w2pgnn.paper import selection
from omnitrain_w2pgnn.paper.feasibility import MixtureFitter
from omnitrain_w2pgnn.paper.selection import choose, rank_subsets


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
