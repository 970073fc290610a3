"""Views laid out as tensors, and taken apart again."""

import networkx as nx
import torch

from omnitrain_w2pgnn.graphs.tensors import graphs_of_batch, paired, rows_of, split_pairs, structural, view


def test_views_come_apart_and_split_into_rows(to_graphs):
    one, two = to_graphs(nx.path_graph(3), nx.star_graph(4), nx.cycle_graph(5)), to_graphs(*map(nx.complete_graph, (2, 3, 4)))
    batch = paired(structural(one, 4), structural(two, 4))
    for number, graphs in enumerate((one, two)):
        own = view(batch, number)
        assert all(torch.equal(own[k], v) for k, v in structural(graphs, 4).items())
        assert graphs_of_batch(own).digest() == graphs.digest()
    parts = split_pairs(batch, 2)
    assert [len(p["sizes"]) for p in parts] == [1, 2]
    assert torch.equal(view(parts[1], 1)["edge_index"], rows_of(structural(two, 4), 1, 3)["edge_index"])
