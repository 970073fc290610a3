"""Features, splits into bases, overlap, densities and baselines."""

import networkx as nx
import numpy as np
import pytest

from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED
from omnitrain_w2pgnn.graphs.topology import standardised, topology_clusters, topology_features
from omnitrain_w2pgnn.paper.baselines import BASELINES, joined, summarise
from omnitrain_w2pgnn.paper.bases import check_overlap, graph_keys, make_bases, overlap, split_graphs
from omnitrain_w2pgnn.paper.graphons.densities import cut_norm, motif_bounds, motif_densities
from omnitrain_w2pgnn.paper.graphons.estimate import EstimatorSettings
from omnitrain_w2pgnn.paper.graphons.simulation import sample_graphs, synthetic_graphon
from omnitrain_w2pgnn.stages.coefficients import bootstrap_interval, pearson, spearman


def test_features_are_those_of_networkx_on_odd_graphs(to_graphs, odd_graphs):
    found = topology_features(to_graphs(*odd_graphs))
    for number, graph in enumerate(odd_graphs):
        if len(graph) == 0:
            assert not np.nan_to_num(found[number]).any()
            continue
        degrees = np.array([d for _, d in graph.degree])
        assert found[number, 0] == pytest.approx(degrees.mean())
        assert found[number, 3] == pytest.approx(np.mean(list(nx.closeness_centrality(graph).values())))
        assert found[number, 6] == pytest.approx(nx.transitivity(graph))
        assert found[number, 7] == pytest.approx(nx.average_clustering(graph))
    assert np.isnan(found[0, 4])
    assert np.isnan(found[5, 4])


def test_standardised_features_have_zeros_in_place_of_nan(to_graphs, odd_graphs):
    found = standardised(topology_features(to_graphs(*odd_graphs)))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, 0].std(), 1)


def test_clusters_keep_their_place_and_are_fewer_for_few_graphs(to_graphs, odd_graphs):
    graphs = to_graphs(*odd_graphs)
    first, again = topology_clusters(graphs, 3, 0), topology_clusters(graphs, 3, 0)
    assert first.tolist() == again.tolist()
    assert len(first) == len(odd_graphs)
    assert len(set(topology_clusters(to_graphs(nx.path_graph(3), nx.star_graph(4)), 5, 0).tolist())) == 2


def test_three_splits_give_bases_of_all_graphs(to_graphs, odd_graphs):
    collections = {"odd": to_graphs(*odd_graphs), "rings": EMBEDDED["rings-and-stars"]()}
    for split in ("integr", "domain", "topo"):
        parts = split_graphs(collections, split, 4, 0)
        assert sum(len(g) for g in parts.values()) == len(odd_graphs) + 40
        bases = make_bases(parts, EstimatorSettings(), 10)
        assert bases.graphons.shape == (len(parts), 10, 10)
        assert np.isfinite(bases.graphons).all()
    assert list(split_graphs(collections, "domain", 4, 0)) == ["odd", "rings"]


def test_a_target_among_the_candidates_is_found_whatever_its_numbering(to_graphs):
    graph = nx.gnp_random_graph(30, 0.2, seed=3)
    order = {i: (7 * i) % 30 for i in range(30)}
    one, other = to_graphs(graph), to_graphs(nx.relabel_nodes(graph, order))
    assert graph_keys(one) == graph_keys(other)
    assert overlap(one, other) == 1
    assert overlap(to_graphs(nx.gnp_random_graph(30, 0.2, seed=4)), other) == 0
    with pytest.raises(DataError, match="overlap: flag"):
        check_overlap({"c": one}, {"t": other}, "refuse")
    assert check_overlap({"c": one}, {"t": other}, "flag") == {("c", "t")}
    assert check_overlap({"c": one}, {"t": other}, "allow") == set()


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


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_are_zero_for_the_same_graphs_and_order_likeness(name, to_graphs):
    sparse = to_graphs(*(nx.path_graph(n) for n in range(5, 15)))
    alike = to_graphs(*(nx.path_graph(n) for n in range(6, 16)))
    dense = to_graphs(*(nx.complete_graph(n) for n in range(5, 15)))
    one, near, far = summarise(sparse), summarise(alike), summarise(dense)
    assert BASELINES[name](one, near) < BASELINES[name](one, far)
    assert BASELINES[name](one, far) == pytest.approx(BASELINES[name](far, one))
    if name != "EGI-style bound":
        assert BASELINES[name](one, one) == pytest.approx(0, abs=1e-7)
    assert np.isfinite(BASELINES[name](joined([one, far]), near))


def test_correlations_know_order_ties_and_series_that_do_not_vary():
    assert pearson([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [1, 10, 100, 90]) == pytest.approx(0.8)
    assert pearson([1, 1, 1], [1, 2, 3]) == 0
    low, high = bootstrap_interval(pearson, list(range(20)), [x + (x % 3) for x in range(20)], 200, 0)
    assert 0.9 < low < high <= 1
    assert bootstrap_interval(pearson, [1, 2], [1, 2], 100, 0) is None
