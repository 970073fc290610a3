"""Motif densities, cut norms and their bound."""

import numpy as np
import pytest

from omnitrain_w2pgnn.paper.graphons.densities import cut_norm, motif_bounds, motif_densities
from omnitrain_w2pgnn.paper.graphons.simulation import sample_graphs, synthetic_graphon


def test_motif_densities_are_sums_over_the_step_function():
    graphon = synthetic_graphon(5, 6)
    index = range(6)
    triangle = np.mean([graphon[i, j] * graphon[j, k] * graphon[k, i] for i in index for j in index for k in index])
    wedge = np.mean([graphon[i, j] * graphon[j, k] for i in index for j in index for k in index])
    found = motif_densities(graphon)
    assert found["triangle"] == pytest.approx(triangle)
    assert found["wedge"] == pytest.approx(wedge)
    assert found["edge"] == pytest.approx(graphon.mean())


def test_sampled_graphs_have_the_densities_of_their_graphon():
    graphon = 0.5 * synthetic_graphon(4, 60) + 0.5 * synthetic_graphon(0, 60)
    graphs = sample_graphs(graphon, [300] * 6, np.random.default_rng(0))
    wanted = motif_densities(graphon)
    for name in ("edge", "triangle", "4-cycle"):
        found = np.mean([motif_densities(graphs.adjacency(i))[name] for i in range(6)])
        assert found == pytest.approx(wanted[name], rel=0.08)


def test_densities_differ_by_no_more_than_the_bound():
    generator = np.random.default_rng(0)
    for _ in range(20):
        first, second = generator.random((2, 8, 8))
        for difference, bound in motif_bounds((first + first.T) / 2, (second + second.T) / 2).values():
            assert difference <= bound + 1e-12


def test_cut_norm_lies_between_its_bounds_and_is_exact_for_a_constant():
    found = cut_norm(np.full((6, 6), -0.4))
    assert found.lower == pytest.approx(0.4)
    assert found.upper == pytest.approx(0.4)
    difference = np.random.default_rng(0).normal(size=(10, 10))
    found = cut_norm(difference)
    assert 0 < found.lower <= found.upper + 1e-12
