"""Ego networks equal a plain breadth-first search, random-walk subgraphs hold what a walk can reach."""

import numpy as np
import pytest
from helpers import numbered

from omnitrain_w2pgnn.graphs import egos
from omnitrain_w2pgnn.graphs.edgelists import read_edge_list
from omnitrain_w2pgnn.graphs.egos import ego_networks, sample_seeds
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED
from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.readers import read_planetoid
from omnitrain_w2pgnn.graphs.structure import from_edges


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
