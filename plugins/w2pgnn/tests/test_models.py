"""The encoder."""

import networkx as nx
import torch
from helpers import SMALL

from omnitrain_w2pgnn.configs.models import GinConfig
from omnitrain_w2pgnn.graphs.tensors import structural
from omnitrain_w2pgnn.models import GraphEncoder


def test_encoder_is_blind_to_the_numbering_and_to_neighbours_in_the_batch(to_graphs):
    encoder = GraphEncoder(SMALL, 0, 4).eval()
    graph = nx.gnp_random_graph(15, 0.3, seed=2)
    other = nx.relabel_nodes(graph, {i: 14 - i for i in range(15)})
    both = nx.Graph()
    both.add_nodes_from(range(15))
    both.add_edges_from(other.edges)
    alone = encoder.embed(structural(to_graphs(graph), 0))
    batch = encoder.embed(structural(to_graphs(both, nx.star_graph(4)), 0))
    torch.testing.assert_close(alone[0], batch[0])
    torch.testing.assert_close(batch.norm(dim=1), torch.ones(2))


def test_encoder_has_the_size_of_gcc():
    encoder = GraphEncoder(GinConfig(), 32, 16)
    assert encoder.width == 64
    assert len(encoder.convolutions) == 4
    assert encoder.readouts[0].in_features == 49
