"""The benchmark measures functions that do the same."""

import networkx as nx
import numpy as np

from omnitrain_w2pgnn.evidence.bench import _alignment, _dense_mean, _distances, _walk_by_walk
from omnitrain_w2pgnn.graphs.egos import ego_networks
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED
from omnitrain_w2pgnn.graphs.structure import from_edges
from omnitrain_w2pgnn.paper.graphons.alignment import aligned_mean, degree_ranks


def test_peers_of_alignment_give_the_same_mean(to_graphs, odd_graphs):
    graphs = to_graphs(*odd_graphs[3:])
    size = int(graphs.sizes.max())
    np.testing.assert_allclose(_dense_mean(graphs, size), aligned_mean(graphs, degree_ranks(graphs), size))


def test_peers_of_ego_networks_give_the_same_sizes():
    graph = nx.barabasi_albert_graph(200, 3, seed=0)
    seeds = np.arange(0, 200, 20)
    found = ego_networks(from_edges([200], np.array(graph.edges())), seeds)
    assert found.sizes.tolist() == [len(nx.ego_graph(graph, int(s), radius=2)) for s in seeds]


def test_walks_step_by_step_stay_in_the_network():
    graphs = EMBEDDED["karate"]()
    found = _walk_by_walk(graphs, np.array([0, 3]), 8, np.random.default_rng(0))
    assert [min(f) >= 0 and max(f) < 34 for f in found] == [True, True]


def test_benches_name_ours_and_return_times():
    for bench in (_alignment(), _distances(32)):
        assert bench.ours in bench.variants
        assert all(run() > 0 for run in bench.variants.values())
