"""Short pre-training runs."""

import numpy as np
import pytest
import torch
from helpers import SMALL

from omnitrain_w2pgnn.configs.evaluators import DownstreamConfig
from omnitrain_w2pgnn.configs.stages import PretrainConfig
from omnitrain_w2pgnn.evaluators.downstream import (
    embeddings,
    frozen_scores,
    make_target,
    prepared_batches,
)
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED, with_degree_labels
from omnitrain_w2pgnn.stages.pretraining import Held, make_encoder, pretrain, set_rate


def test_pretraining_on_walks_falls_below_chance_and_separates_roles():
    graphs = with_degree_labels(EMBEDDED["les-miserables"]())
    device, config = torch.device("cpu"), PretrainConfig(steps=60, batch_size=24, visits=24)
    encoder = make_encoder("gcc-e2e", SMALL.model_copy(update={"dropout": 0.0}), 8, 0)
    held = Held((graphs, graphs), "")
    found = pretrain("gcc-e2e", held, encoder, config, 8, device, lambda name: 5, lambda: None)
    assert found.last < 0.8 * found.chance
    target = make_target("roles", graphs, DownstreamConfig(visits=24, folds=3), np.random.default_rng(0))
    features = embeddings(encoder, prepared_batches(target, 8), device)
    scores = frozen_scores(features, target.labels, DownstreamConfig(folds=3), 1000.0, 0)
    assert np.mean(scores) > np.bincount(target.labels).max() / len(target.labels)


@pytest.mark.parametrize("strategy", ["gcc-moco", "graphcl", "masking"])
def test_every_strategy_trains(strategy):
    graphs = EMBEDDED["karate"]()
    config = PretrainConfig(steps=12, batch_size=8, visits=12, queue=16)
    encoder = make_encoder(strategy, SMALL, 4, 0)
    before = [p.clone() for p in encoder.parameters()]
    found = pretrain(strategy, Held((graphs, graphs), ""), encoder, config, 4, torch.device("cpu"), lambda n: 1, lambda: None)
    assert np.isfinite([found.first, found.last]).all()
    assert any(not torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))


def test_learning_rate_rises_over_a_tenth_and_falls_to_zero():
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    rates = []
    for step in range(100):
        set_rate(optimiser, PretrainConfig(steps=100, learning_rate=2.0), step)
        rates.append(optimiser.param_groups[0]["lr"])
    assert max(rates) == pytest.approx(2.0)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] < 0.03
