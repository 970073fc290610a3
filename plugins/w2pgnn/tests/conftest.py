"""Small graphs, a context as core gives it, and real data where it is."""

import os
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from omnitrain.engine import scratch_run
from omnitrain_testing.contexts import FakeContext
from omnitrain_w2pgnn.configs.data import GraphsConfig
from omnitrain_w2pgnn.data.graphs import GraphsData
from omnitrain_w2pgnn.graphs.structure import from_edges

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("OMNITRAIN_TEST_DATA", ROOT / "../shared/data")) / "w2pgnn"


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def context(tmp_path):
    return FakeContext(tmp_path)


@pytest.fixture
def scratch():
    with scratch_run() as run:
        yield run


@pytest.fixture
def shared():
    if not SHARED.is_dir():
        pytest.skip("the shared data is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def to_graphs():
    """Return a function from networkx graphs to a collection."""

    def convert(*graphs):
        sizes = [g.number_of_nodes() for g in graphs]
        bases = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        edges = []
        for base, graph in zip(bases, graphs, strict=False):
            number = {node: i for i, node in enumerate(graph.nodes)}
            edges += [(base + number[a], base + number[b]) for a, b, *_ in graph.edges]
        return from_edges(sizes, edges)

    return convert


@pytest.fixture(scope="session")
def odd_graphs():
    """Graphs that break careless code: no edges, one node, no nodes, two components, a star, a complete one."""
    return [
        nx.empty_graph(3),
        nx.empty_graph(1),
        nx.empty_graph(0),
        nx.disjoint_union(nx.cycle_graph(4), nx.path_graph(3)),
        nx.star_graph(5),
        nx.complete_graph(5),
        nx.gnp_random_graph(12, 0.3, seed=1),
    ]


@pytest.fixture
def karate(context):
    graphs = GraphsData(GraphsConfig(path="karate"), context)
    context.builder = lambda use, facts: graphs
    return context
