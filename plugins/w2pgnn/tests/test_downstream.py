"""Downstream scores of an encoder."""

import networkx as nx
import numpy as np
import pytest
from helpers import SMALL

from omnitrain.errors import DataError, NumericalError
from omnitrain_w2pgnn.configs.evaluators import DownstreamConfig
from omnitrain_w2pgnn.configs.stages import TuningConfig
from omnitrain_w2pgnn.evaluators.downstream import Target, fold_score
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED
from omnitrain_w2pgnn.stages.pretraining import make_encoder


@pytest.fixture
def rings(scratch):
    return Target("rings", EMBEDDED["rings-and-stars"](), DownstreamConfig(folds=2), 4, scratch)


def test_whole_graphs_are_told_apart_after_fine_tuning(rings):
    ticks, encoder = [], make_encoder("gcc-e2e", SMALL, 4, 0)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    settings = TuningConfig(epochs=4, folds=2, batch_size=8)
    scores = rings.finetuned_scores(encoder, settings, [0, 0], lambda: ticks.append(1))
    assert len(ticks) == 8
    assert np.mean(scores) > 0.9
    assert all((before[name] == value).all() for name, value in encoder.state_dict().items())


@pytest.mark.parametrize("epochs", [1, 4])
def test_fine_tuning_that_diverges_ends_without_a_score(rings, epochs):
    settings = TuningConfig(epochs=epochs, folds=2, learning_rate=1e30)
    with pytest.raises(NumericalError, match="lower the learning rate"):
        rings.finetuned_scores(make_encoder("gcc-e2e", SMALL, 4, 0), settings, [0, 0], lambda: None)


def test_targets_without_labels_or_with_rare_classes_are_refused(to_graphs, scratch):
    with pytest.raises(DataError, match="has no labels"):
        Target("t", to_graphs(nx.path_graph(5)), DownstreamConfig(), 4, scratch)
    with pytest.raises(DataError, match="lower folds"):
        Target("t", EMBEDDED["karate"](), DownstreamConfig(folds=20), 4, scratch)


def test_roc_auc_is_that_of_ranks_and_half_for_one_class():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    assert fold_score("roc-auc", np.array([0, 1, 1]), probabilities) == 1
    assert fold_score("roc-auc", np.array([1, 1, 1]), probabilities) == 0.5
    assert fold_score("micro-f1", np.array([0, 0, 1]), probabilities) == pytest.approx(2 / 3)
