"""Random-walk subgraphs and the positions of nodes in them."""

import networkx as nx
import numpy as np
from helpers import numbered

from omnitrain_w2pgnn.graphs.embedded import EMBEDDED
from omnitrain_w2pgnn.graphs.structure import from_edges
from omnitrain_w2pgnn.graphs.walks import laplacian_positions, walk_subgraphs, walk_visits


def test_walks_stay_in_reach_and_give_induced_subgraphs():
    graphs = numbered(EMBEDDED["les-miserables"]())
    seeds = np.array([0, 5, 30])
    found = walk_subgraphs(graphs, seeds, np.array([1, 8, 64]), 0.5, np.random.default_rng(0))
    assert found.attributes[found.roots].tolist() == seeds.tolist()
    assert found.sizes[0] <= 2
    assert found.sizes[2] > found.sizes[1]
    for number in range(3):
        nodes = found.attributes[found.offsets[number] : found.offsets[number + 1]]
        np.testing.assert_array_equal(found.adjacency(number), graphs.adjacency(0)[np.ix_(nodes, nodes)])


def test_walks_visit_neighbours_as_often_as_walking_step_by_step():
    star = from_edges([6], [(0, i) for i in range(1, 6)])
    found = walk_subgraphs(numbered(star), np.zeros(4000, int), np.ones(4000, int), 0.8, np.random.default_rng(0))
    counts = np.bincount(found.attributes, minlength=6)[1:] / 4000
    np.testing.assert_allclose(counts, 0.2, atol=0.03)


def test_walks_from_an_isolated_node_are_that_node():
    found = walk_subgraphs(from_edges([3], [(0, 1)]), np.array([2]), np.array([9]), 0.8, np.random.default_rng(0))
    assert found.sizes.tolist() == [1]


def test_length_of_walks_grows_with_degree():
    assert walk_visits(np.array([1, 10_000]), 0.8, 256, 0.75, None).tolist() == [256, int(1000 * np.e / (np.e - 1) / 0.8 + 0.5)]
    assert walk_visits(np.array([10_000]), 0.8, 256, 0.75, 300).tolist() == [300]


def test_positions_are_the_leading_eigenvectors(to_graphs, odd_graphs):
    graphs = to_graphs(*odd_graphs)
    positions = laplacian_positions(graphs, 4)
    assert positions.shape == (graphs.nodes, 4)
    last = graphs.offsets[-2]
    lengths = np.linalg.norm(positions[last:], axis=1)
    np.testing.assert_allclose(lengths[lengths > 0], 1, atol=1e-9)
    assert not positions[: graphs.offsets[2]][3:].any()
    dense = nx.normalized_laplacian_matrix(odd_graphs[6]).toarray()
    values = np.sort(np.linalg.eigvalsh(np.diag((dense.diagonal() > 0).astype(float)) - dense))[::-1]
    single = laplacian_positions(to_graphs(odd_graphs[6]), 10)
    assert (np.abs(single) > 1e-12).any(axis=0).sum() == 10
    assert values[0] <= 1 + 1e-9
