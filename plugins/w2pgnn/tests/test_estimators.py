"""Graphon estimators on odd collections, beside scikit-image and the truth; memory stays near one matrix."""

import tracemalloc

import networkx as nx
import numpy as np
import pytest
from skimage.restoration import denoise_tv_chambolle

from omnitrain.errors import DataError, UsageError
from omnitrain_w2pgnn.graphs.structure import from_edges
from omnitrain_w2pgnn.paper.graphons import alignment
from omnitrain_w2pgnn.paper.graphons.alignment import aligned, aligned_mean, block_sums, degree_ranks, truncate
from omnitrain_w2pgnn.paper.graphons.denoising import total_variation
from omnitrain_w2pgnn.paper.graphons.estimate import METHODS, EstimatorSettings, estimate
from omnitrain_w2pgnn.paper.graphons.estimators import singular_value_threshold
from omnitrain_w2pgnn.paper.graphons.resizing import resize_average, resize_bilinear
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


def test_aligned_mean_is_the_mean_of_padded_matrices(to_graphs, odd_graphs):
    graphs = to_graphs(*odd_graphs)
    matrices, _ = aligned(graphs, degree_ranks(graphs))
    size = int(graphs.sizes.max())
    padded = [np.pad(m, (0, size - len(m))) for m in matrices]
    np.testing.assert_allclose(aligned_mean(graphs, degree_ranks(graphs), size), np.mean(padded, axis=0))


def test_block_sums_do_not_depend_on_how_many_arcs_are_added_at_once(monkeypatch, to_graphs, odd_graphs):
    graphs = to_graphs(*odd_graphs)
    wanted = block_sums(graphs, degree_ranks(graphs), 2, 5)
    monkeypatch.setattr(alignment, "ARCS", 3)
    np.testing.assert_array_equal(block_sums(graphs, degree_ranks(graphs), 2, 5), wanted)


def test_equal_degrees_stand_in_reverse_order_of_their_numbers(to_graphs):
    assert degree_ranks(to_graphs(nx.cycle_graph(4))).tolist() == [3, 2, 1, 0]


def test_memory_of_alignment_stays_near_one_matrix():
    sizes = [300] * 400
    generator = np.random.default_rng(0)
    base = np.repeat(np.arange(400) * 300, 600)
    edges = base[:, None] + generator.integers(0, 300, (len(base), 2))
    graphs = from_edges(sizes, edges)
    tracemalloc.start()
    aligned_mean(graphs, degree_ranks(graphs), 300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * 400 * 300 * 300 * 8  # dense matrices of all graphs would be five times that


def test_truncation_keeps_the_nodes_of_highest_degree(to_graphs):
    graphs = to_graphs(nx.star_graph(9), nx.path_graph(3))
    found, ranks = truncate(graphs, degree_ranks(graphs), 4)
    assert found.sizes.tolist() == [4, 3]
    assert found.adjacency(0).sum() == 6
    assert sorted(ranks[:4].tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("weight", [0.05, 1.0, 5.0])
def test_total_variation_is_that_of_scikit_image(weight):
    image = np.random.default_rng(0).random((9, 9))
    np.testing.assert_allclose(total_variation(image, weight), denoise_tv_chambolle(image, weight), atol=1e-9)


def test_averaging_keeps_density_and_commutes_with_mixing():
    a, b = np.random.default_rng(0).random((2, 7, 7))
    assert resize_average(a, 5).mean() == pytest.approx(a.mean())
    assert resize_average(a, 16).mean() == pytest.approx(a.mean())
    mixed = resize_average(0.3 * a + 0.7 * b, 5)
    np.testing.assert_allclose(mixed, 0.3 * resize_average(a, 5) + 0.7 * resize_average(b, 5))
    np.testing.assert_array_equal(resize_bilinear(a, 7), a)


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
