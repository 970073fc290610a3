"""What feasibility competes with."""

import networkx as nx
import numpy as np
import pytest

from omnitrain_w2pgnn.paper.baselines import BASELINES, joined, summarise


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_are_zero_for_the_same_graphs_and_order_likeness(name, to_graphs):
    sparse = to_graphs(*(nx.path_graph(n) for n in range(5, 15)))
    alike = to_graphs(*(nx.path_graph(n) for n in range(6, 16)))
    dense = to_graphs(*(nx.complete_graph(n) for n in range(5, 15)))
    one, near, far = summarise(sparse), summarise(alike), summarise(dense)
    assert BASELINES[name](one, near) < BASELINES[name](one, far)
    assert BASELINES[name](one, far) == pytest.approx(BASELINES[name](far, one))
    if name != "EGI-style bound":
        assert BASELINES[name](one, one) == pytest.approx(0, abs=1e-7)
    assert np.isfinite(BASELINES[name](joined([one, far]), near))
