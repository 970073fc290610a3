"""Graphs from disk and from other plugins' batches."""

import networkx as nx
import pytest

from omnitrain.errors import UsageError
from omnitrain_w2pgnn.configs.data import SavedConfig
from omnitrain_w2pgnn.data import saved
from omnitrain_w2pgnn.data.collection import graphs_of
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED, with_degree_labels
from omnitrain_w2pgnn.graphs.tensors import structural


def test_graphs_come_back_from_disk_and_from_other_plugins_batches(tmp_path, karate, to_graphs):
    graphs = with_degree_labels(EMBEDDED["karate"]())
    for name in ("network", "samples"):
        saved.save_graphs(graphs, tmp_path / name)
    assert saved.build(SavedConfig(path=str(tmp_path)), karate).network().digest() == graphs.digest()

    class Foreign:
        def __init__(self):
            self.batch = {"edge_index": "int64[2, edges]", "batch": "int64[nodes]"}

        def splits(self):
            return ["train"]

        def examples(self, split):
            return [0, 1]

        def collate(self, examples):
            found = structural(to_graphs(*(nx.cycle_graph(4 + e) for e in examples)), 0)
            return {"edge_index": found["edge_index"], "batch": found["node_graph"]}

    network, _ = graphs_of(Foreign(), "foreign")
    assert network.sizes.tolist() == [4, 5]
    with pytest.raises(UsageError, match="expected data that yields graphs"):
        graphs_of(object(), "nothing")
