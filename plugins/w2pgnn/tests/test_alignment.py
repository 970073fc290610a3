"""Alignment by degree, its means and its memory."""

import tracemalloc

import networkx as nx
import numpy as np

from omnitrain_w2pgnn.graphs.structure import from_edges
from omnitrain_w2pgnn.paper.graphons import alignment
from omnitrain_w2pgnn.paper.graphons.alignment import aligned, aligned_mean, block_sums, degree_ranks, truncate


def test_aligned_mean_is_the_mean_of_padded_matrices(to_graphs, odd_graphs):
    graphs = to_graphs(*odd_graphs)
    matrices, _ = aligned(graphs, degree_ranks(graphs))
    size = int(graphs.sizes.max())
    padded = [np.pad(m, (0, size - len(m))) for m in matrices]
    np.testing.assert_allclose(aligned_mean(graphs, degree_ranks(graphs), size), np.mean(padded, axis=0))


def test_block_sums_do_not_depend_on_how_many_arcs_are_added_at_once(monkeypatch, to_graphs, odd_graphs):
    graphs = to_graphs(*odd_graphs)
    wanted = block_sums(graphs, degree_ranks(graphs), 2, 5)
    monkeypatch.setattr(alignment, "ARCS", 3)
    np.testing.assert_array_equal(block_sums(graphs, degree_ranks(graphs), 2, 5), wanted)


def test_equal_degrees_stand_in_reverse_order_of_their_numbers(to_graphs):
    assert degree_ranks(to_graphs(nx.cycle_graph(4))).tolist() == [3, 2, 1, 0]


def test_memory_of_alignment_stays_near_one_matrix():
    sizes = [300] * 400
    generator = np.random.default_rng(0)
    base = np.repeat(np.arange(400) * 300, 600)
    edges = base[:, None] + generator.integers(0, 300, (len(base), 2))
    graphs = from_edges(sizes, edges)
    tracemalloc.start()
    aligned_mean(graphs, degree_ranks(graphs), 300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * 400 * 300 * 300 * 8  # dense matrices of all graphs would be five times that


def test_truncation_keeps_the_nodes_of_highest_degree(to_graphs):
    graphs = to_graphs(nx.star_graph(9), nx.path_graph(3))
    found, ranks = truncate(graphs, degree_ranks(graphs), 4)
    assert found.sizes.tolist() == [4, 3]
    assert found.adjacency(0).sum() == 6
    assert sorted(ranks[:4].tolist()) == [0, 1, 2, 3]
