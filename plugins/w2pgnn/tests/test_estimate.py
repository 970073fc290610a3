"""Every estimator on odd collections and beside the truth."""

import networkx as nx
import numpy as np
import pytest

from omnitrain.errors import DataError, UsageError
from omnitrain_w2pgnn.graphs.structure import from_edges
from omnitrain_w2pgnn.paper.graphons.estimate import METHODS, EstimatorSettings, estimate
from omnitrain_w2pgnn.paper.graphons.estimators import singular_value_threshold
from omnitrain_w2pgnn.paper.graphons.resizing import resize_average
from omnitrain_w2pgnn.paper.graphons.simulation import sample_graphs, synthetic_graphon


@pytest.mark.parametrize("method", METHODS)
def test_every_estimator_takes_odd_collections(method, to_graphs, odd_graphs):
    found = estimate(to_graphs(*odd_graphs), EstimatorSettings(method=method, outer=3))
    assert np.isfinite(found.step).all()
    assert found.step.min() >= -1e-12
    assert found.step.max() <= 1 + 1e-12


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("graph", [nx.empty_graph(1), nx.path_graph(2), nx.empty_graph(4)])
def test_every_estimator_takes_the_smallest_graphs(method, graph, to_graphs):
    step = estimate(to_graphs(graph), EstimatorSettings(method=method, outer=2)).step
    assert np.isfinite(step).all()


@pytest.mark.parametrize("method", ["USVT", "MC", "LG", "SAS", "SGWB"])
def test_estimates_come_near_the_truth(method):
    truth = synthetic_graphon(4, 60)
    graphs = sample_graphs(truth, [100] * 10, np.random.default_rng(0))
    found = resize_average(estimate(graphs, EstimatorSettings(method=method, tv_weight=0.05)).step, 12)
    assert np.abs(found - resize_average(truth, 12)).mean() < 0.08


def test_threshold_of_a_matrix_that_is_not_symmetric_is_that_of_its_singular_values():
    matrix = np.random.default_rng(0).random((6, 6))
    left, values, right = np.linalg.svd(matrix)
    kept = values >= 0.4 * np.sqrt(6)
    wanted = np.clip((left[:, kept] * values[kept]) @ right[kept], 0, 1)
    np.testing.assert_allclose(singular_value_threshold(matrix, 0.4), wanted)


def test_unknown_estimators_and_empty_collections_are_refused(to_graphs):
    with pytest.raises(UsageError, match="expected one of SAS"):
        estimate(to_graphs(nx.path_graph(3)), EstimatorSettings(method="LP"))
    with pytest.raises(DataError, match="without graphs"):
        estimate(from_edges([], []), EstimatorSettings())
