"""Three ways to split the graphs, and targets that are among them."""

import networkx as nx
import numpy as np
import pytest

from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED
from omnitrain_w2pgnn.paper.bases import check_overlap, graph_keys, make_bases, overlap, split_graphs
from omnitrain_w2pgnn.paper.graphons.estimate import EstimatorSettings


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
