"""Losses of the pre-training strategies."""

import numpy as np
import pytest
import torch
from helpers import SMALL, VIEWS

from omnitrain.api import BatchPlan
from omnitrain.errors import UsageError
from omnitrain_w2pgnn.configs.objectives import ContrastConfig, MaskingConfig, MocoConfig
from omnitrain_w2pgnn.models import GraphEncoder
from omnitrain_w2pgnn.objectives import Contrast, Masking, Moco, normalised_contrast


def test_moco_follows_slowly_and_pushes_keys(karate):
    batch = next(iter(VIEWS["walks"](karate).batches("train", BatchPlan(4, 0))))
    torch.manual_seed(0)
    encoder = GraphEncoder(SMALL, 4, 4).train()
    objective = Moco(MocoConfig(queue=6, momentum=0.9), 5)
    state = objective.initial_state(encoder, batch)
    before = {k: v.clone() for k, v in state["keys"].items()}
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(1.0)
    loss, after = objective.step(encoder, batch, state)
    name = "readouts.0.weight"
    torch.testing.assert_close(after["keys"][name], before[name] + 0.1)
    assert torch.equal(state["keys"][name], before[name])
    assert int(after["index"]) == 4
    assert torch.equal(after["queue"][4:], state["queue"][4:])
    assert not torch.equal(after["queue"][:4], state["queue"][:4])
    loss.total.backward()
    assert all(p.grad is not None for p in encoder.parameters())
    _, last = objective.step(encoder, batch, after)
    assert int(last["index"]) == 2


def test_normalised_contrast_leaves_the_own_pair_out_of_the_negatives():
    first, second = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    a, b = first / first.norm(dim=1, keepdim=True), second / second.norm(dim=1, keepdim=True)
    similarity = (a @ b.T / 0.2).exp()
    total = sum(
        -(similarity[i, i] / (similarity[i].sum() - similarity[i, i])).log() / 2
        - (similarity[i, i] / (similarity[:, i].sum() - similarity[i, i])).log() / 2
        for i in range(5)
    )
    torch.testing.assert_close(normalised_contrast(first, second, 0.2), total)
    assert float(normalised_contrast(first[:1], second[:1], 0.2)) == 0


def test_masking_adds_nodes_and_edges_and_needs_its_heads(karate):
    batch = next(iter(VIEWS["masked"](karate).batches("train", BatchPlan(6, 0))))
    encoder = GraphEncoder(SMALL.model_copy(update={"head": "masking"}), 4, 16)
    loss = Masking(MaskingConfig())(encoder, batch)
    parts = loss.parts
    assert float(loss.total.detach()) == pytest.approx(float(parts["nodes"].total) + float(parts["edges"].total), rel=1e-6)
    assert float(loss.weight) == int(batch["hidden"].sum()) + len(batch["pair_edge"])
    with pytest.raises(UsageError, match="head: masking"):
        Masking(MaskingConfig())(GraphEncoder(SMALL, 4, 16), batch)


def test_contrast_tells_the_loss_of_chance(karate):
    batch = next(iter(VIEWS["walks"](karate).batches("train", BatchPlan(6, 0))))
    loss = Contrast(ContrastConfig())(GraphEncoder(SMALL, 4, 4), batch)
    assert float(loss.parts["chance"].total) / 6 == pytest.approx(np.log(6), rel=1e-6)
