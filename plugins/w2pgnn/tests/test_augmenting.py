"""Augmented graphs and hidden edges."""

import networkx as nx
import numpy as np

from omnitrain_w2pgnn.graphs.augmenting import augment, hide
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED


def test_augmentations_change_what_their_kind_says():
    graphs = EMBEDDED["rings-and-stars"]()
    generator = np.random.default_rng(0)
    dropped, _ = augment(graphs, ["nodes"], 0.3, generator)
    assert 0.6 < dropped.nodes / graphs.nodes < 0.8
    rewired, _ = augment(graphs, ["edges"], 0.3, generator)
    assert rewired.nodes == graphs.nodes
    assert rewired.digest() != graphs.digest()
    same, hidden = augment(graphs, ["attributes"], 0.3, generator)
    assert np.array_equal(same.indices, graphs.indices)
    assert 0.2 < hidden.mean() < 0.4
    walked, _ = augment(graphs, ["subgraph"], 0.3, generator)
    assert 0 < walked.nodes < graphs.nodes
    for found in (dropped, rewired, walked):
        assert len(found) == len(graphs)
        assert found.sizes.min() >= 1


def test_hidden_edges_are_gone_and_their_rivals_are_none(to_graphs):
    graphs = to_graphs(*(nx.gnp_random_graph(20, 0.2, seed=s) for s in range(8)))
    found = hide(graphs, 0.2, 0.3, 5, np.random.default_rng(0))
    known = set(zip(graphs.sources().tolist(), graphs.indices.tolist(), strict=True))
    left = set(zip(found.graphs.sources().tolist(), found.graphs.indices.tolist(), strict=True))
    for (a, b), edge in zip(found.pairs.T.tolist(), found.is_edge.tolist(), strict=True):
        assert ((a, b) in known) == edge
        assert (a, b) not in left
    assert found.classes.max() < 5
    assert left == {(b, a) for a, b in left}
