"""Collections of graphs: edge lists become simple graphs, graphs are taken and joined."""

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain_w2pgnn.graphs.structure import expand, from_dense, from_edges, join

PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=30)


@given(PAIRS)
@settings(max_examples=60, deadline=None)
def test_edge_lists_become_the_simple_graphs_that_networkx_makes(pairs):
    graph = nx.Graph()
    graph.add_nodes_from(range(8))
    graph.add_edges_from((a, b) for a, b in pairs if a != b)
    found = from_edges([8], np.array(pairs, int).reshape(-1, 2))
    np.testing.assert_array_equal(found.adjacency(0), nx.to_numpy_array(graph, nodelist=range(8)))


@given(PAIRS)
@settings(max_examples=40, deadline=None)
def test_counting_keeps_every_listing(pairs):
    found = from_edges([8], np.array(pairs, int).reshape(-1, 2), duplicates="count")
    assert found.adjacency(0).sum() == 2 * sum(a != b for a, b in pairs)


def test_weights_of_parallel_edges_give_the_largest_one():
    found = from_edges([3], [(0, 1), (1, 0), (1, 2)], np.array([2.0, 5.0, 1.0]))
    np.testing.assert_array_equal(found.adjacency(0), [[0, 5, 0], [5, 0, 1], [0, 1, 0]])


def test_taking_graphs_keeps_each_as_it_is(to_graphs, odd_graphs):
    graphs = to_graphs(*odd_graphs)
    chosen = [6, 0, 3, 3, 2]
    found = graphs.take(chosen)
    assert len(found) == 5
    for place, number in enumerate(chosen):
        np.testing.assert_array_equal(found.adjacency(place), nx.to_numpy_array(odd_graphs[number]))


def test_joined_collections_are_domains_in_their_order(to_graphs):
    first, second = to_graphs(nx.path_graph(3)), to_graphs(nx.cycle_graph(4), nx.star_graph(2))
    found = join([first, second], ["a", "b"])
    assert found.names == ("a", "b")
    assert found.groups.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(found.adjacency(2), second.adjacency(1))


def test_densities_count_pairs_and_are_zero_without_pairs(to_graphs, odd_graphs):
    wanted = [nx.density(g) if len(g) > 1 else 0.0 for g in odd_graphs]
    np.testing.assert_allclose(to_graphs(*odd_graphs).densities(), wanted)


def test_dense_matrices_keep_directions_and_weights():
    matrix = np.array([[0, 0.5], [0, 0]])
    np.testing.assert_array_equal(from_dense([matrix, matrix.T]).adjacency(1), matrix.T)


def test_expand_lists_runs_of_numbers():
    assert expand(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert expand(np.array([], int), np.array([], int)).tolist() == []


def test_digest_notices_every_change(to_graphs):
    graphs = to_graphs(nx.path_graph(4))
    assert graphs.digest() == to_graphs(nx.path_graph(4)).digest()
    assert graphs.digest() != to_graphs(nx.cycle_graph(4)).digest()
