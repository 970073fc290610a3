"""Downstream scores of an encoder."""

import networkx as nx
import numpy as np
import pytest
import torch
from helpers import SMALL

from omnitrain.errors import DataError
from omnitrain_w2pgnn.configs.evaluators import DownstreamConfig
from omnitrain_w2pgnn.configs.stages import TuningConfig
from omnitrain_w2pgnn.evaluators.downstream import (
    finetuned_scores,
    fold_score,
    make_target,
)
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED
from omnitrain_w2pgnn.stages.pretraining import make_encoder


def test_whole_graphs_are_told_apart_after_fine_tuning():
    graphs = EMBEDDED["rings-and-stars"]()
    target = make_target("rings", graphs, DownstreamConfig(folds=2), np.random.default_rng(0))
    ticks = []
    scores = finetuned_scores(
        lambda: make_encoder("gcc-e2e", SMALL, 4, 0),
        target,
        TuningConfig(epochs=4, folds=2, batch_size=8),
        "micro-f1",
        4,
        torch.device("cpu"),
        0,
        lambda: ticks.append(1),
    )
    assert len(ticks) == 8
    assert np.mean(scores) > 0.9


def test_targets_without_labels_or_with_rare_classes_are_refused(to_graphs):
    generator = np.random.default_rng(0)
    with pytest.raises(DataError, match="has no labels"):
        make_target("t", to_graphs(nx.path_graph(5)), DownstreamConfig(), generator)
    with pytest.raises(DataError, match="lower folds"):
        make_target("t", EMBEDDED["karate"](), DownstreamConfig(folds=20), generator)


def test_roc_auc_is_that_of_ranks_and_half_for_one_class():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    assert fold_score("roc-auc", np.array([0, 1, 1]), probabilities) == 1
    assert fold_score("roc-auc", np.array([1, 1, 1]), probabilities) == 0.5
    assert fold_score("micro-f1", np.array([0, 0, 1]), probabilities) == pytest.approx(2 / 3)
