"""Ego networks equal a plain breadth-first search, random-walk subgraphs hold what a walk can reach."""

import networkx as nx
import numpy as np
import pytest

from omnitrain_w2pgnn.graphs import egos
from omnitrain_w2pgnn.graphs.egos import ego_networks, sample_seeds
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED
from omnitrain_w2pgnn.graphs.readers import Faults, read_edge_list, read_planetoid
from omnitrain_w2pgnn.graphs.structure import Graphs, from_edges
from omnitrain_w2pgnn.graphs.walks import laplacian_positions, walk_subgraphs, walk_visits


def numbered(graphs):
    """Give the nodes their numbers as attributes, so that subgraphs tell where they are from."""
    return Graphs(graphs.offsets, graphs.indptr, graphs.indices, attributes=np.arange(graphs.nodes))


def searched(graphs, seed, hops):
    """Return the nodes of a plain breadth-first search."""
    seen, frontier = {seed}, [seed]
    for _ in range(hops):
        frontier = [v for u in frontier for v in graphs.indices[graphs.indptr[u] : graphs.indptr[u + 1]] if v not in seen]
        seen.update(frontier)
    return sorted(int(v) for v in seen)


def compare(graphs, seeds, hops):
    found = ego_networks(numbered(graphs), seeds, hops)
    assert len(found) == len(seeds)
    for number, seed in enumerate(seeds.tolist()):
        nodes = searched(graphs, seed, hops)
        own = slice(found.offsets[number], found.offsets[number + 1])
        assert found.attributes[own].tolist() == nodes
        assert found.attributes[found.roots[number]] == seed
        place = {v: i for i, v in enumerate(nodes)}
        wanted = np.zeros((len(nodes), len(nodes)))
        for u in nodes:
            for v in graphs.indices[graphs.indptr[u] : graphs.indptr[u + 1]]:
                if int(v) in place:
                    wanted[place[u], place[int(v)]] = 1
        np.testing.assert_array_equal(found.adjacency(number), wanted)


@pytest.mark.parametrize("hops", [1, 2, 3])
@pytest.mark.parametrize("name", ["karate", "les-miserables", "grid", "barbell"])
def test_ego_networks_equal_a_breadth_first_search(name, hops):
    graphs = EMBEDDED[name]()
    compare(graphs, np.arange(0, graphs.nodes, max(1, graphs.nodes // 12)), hops)


@pytest.mark.parametrize(
    "name", ["usa-airports", "europe-airports", "brazil-airports", "barbell", "karate-mirrored", "facebook348"]
)
def test_ego_networks_of_shared_networks_equal_a_breadth_first_search(shared, name):
    graphs, _ = read_edge_list(shared / f"{name}.edgelist", Faults("refuse"))
    for hops in (1, 2, 3):
        compare(graphs, np.linspace(0, graphs.nodes - 1, 6).astype(int), hops)


def test_ego_networks_of_cora_equal_a_breadth_first_search(shared):
    graphs = read_planetoid(shared / "planetoid", "cora")
    compare(graphs, np.arange(0, graphs.nodes, 400), 2)


def test_isolated_seeds_keep_their_node_and_large_egos_are_left_out():
    graphs = from_edges([6], [(0, 1), (0, 2), (0, 3)])
    found = ego_networks(graphs, np.array([5, 1]), 2)
    assert found.sizes.tolist() == [1, 4]
    assert ego_networks(graphs, np.array([5, 1, 4]), 2, max_nodes=3).sizes.tolist() == [1, 1]


def test_small_memory_bounds_give_the_same_ego_networks(monkeypatch):
    graphs = EMBEDDED["power-law"]()
    seeds = np.arange(0, 400, 7)
    wanted = ego_networks(graphs, seeds)
    monkeypatch.setattr(egos, "MARKS", 400 * 9)
    monkeypatch.setattr(egos, "ARCS", 500)
    assert ego_networks(graphs, seeds).digest() == wanted.digest()


def test_seeds_are_a_share_with_a_minimum_and_a_maximum():
    graphs, generator = EMBEDDED["grid"](), np.random.default_rng(0)
    assert len(sample_seeds(graphs, 0.5, 10, None, generator)) == 200
    assert len(sample_seeds(graphs, 0.001, 40, None, generator)) == 40
    assert len(sample_seeds(graphs, 0.5, 10, 30, generator)) == 30
    assert sample_seeds(graphs, None, 0, None, generator).tolist() == list(range(400))


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
