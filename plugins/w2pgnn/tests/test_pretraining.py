"""Short pre-training runs."""

import numpy as np
import pytest
import torch
from helpers import SMALL

from omnitrain.errors import NumericalError
from omnitrain_w2pgnn.configs.evaluators import DownstreamConfig
from omnitrain_w2pgnn.configs.stages import PretrainConfig
from omnitrain_w2pgnn.data.collection import Held
from omnitrain_w2pgnn.evaluators.downstream import Target
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED, with_degree_labels
from omnitrain_w2pgnn.stages.pretraining import make_encoder, pretrain, rate_of


@pytest.fixture
def club():
    graphs = EMBEDDED["karate"]()
    return Held(4, graphs, graphs)


def test_pretraining_on_walks_falls_below_chance_and_separates_roles(scratch):
    graphs = with_degree_labels(EMBEDDED["les-miserables"]())
    config = PretrainConfig(steps=60, batch_size=24, visits=24)
    encoder = make_encoder("gcc-e2e", SMALL.model_copy(update={"dropout": 0.0}), 8, 0)
    found = pretrain("gcc-e2e", Held(8, graphs, graphs), encoder, config, 8, scratch, "les-miserables")
    assert found.last < 0.8 * found.chance
    target = Target("roles", graphs, DownstreamConfig(visits=24, folds=3), 8, scratch)
    assert np.mean(target.frozen_scores(encoder)) > target.largest_class


@pytest.mark.parametrize("strategy", ["gcc-moco", "graphcl", "masking"])
def test_every_strategy_trains(strategy, club, scratch):
    config = PretrainConfig(steps=12, batch_size=8, visits=12, queue=16)
    encoder = make_encoder(strategy, SMALL, 4, 0)
    before = [p.clone() for p in encoder.parameters()]
    found = pretrain(strategy, club, encoder, config, 4, scratch, "club")
    assert np.isfinite([found.first, found.last]).all()
    assert any(not torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))


@pytest.mark.parametrize("strategy", ["gcc-e2e", "gcc-moco", "graphcl", "masking"])
@pytest.mark.parametrize("steps", [1, 3])
def test_pretraining_that_diverges_ends_without_a_score(strategy, steps, club, scratch):
    config = PretrainConfig(steps=steps, batch_size=8, visits=12, queue=16, learning_rate=1e30)
    encoder = make_encoder(strategy, SMALL, 4, 0)
    target = Target("club", with_degree_labels(club.network()), DownstreamConfig(visits=12, folds=2), 4, scratch)
    with pytest.raises(NumericalError, match="lower the learning rate"):
        target.frozen_scores(encoder_after(strategy, club, encoder, config, scratch))


def encoder_after(strategy, club, encoder, config, run):
    pretrain(strategy, club, encoder, config, 4, run, "club")
    return encoder


def test_learning_rate_rises_over_a_tenth_and_falls_to_zero():
    rates = [rate_of(PretrainConfig(steps=100, learning_rate=2.0), step) for step in range(1, 101)]
    assert max(rates) == pytest.approx(2.0)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] < 0.03
