"""Features, splits into bases, overlap, densities and baselines."""

import networkx as nx
import numpy as np
import pytest

from omnitrain_w2pgnn.graphs.topology import standardised, topology_clusters, topology_features


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
