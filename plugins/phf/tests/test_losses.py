"""The losses beside plain PyTorch, at the edges of probability, and in memory."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from omnitrain_phf.paper import losses
from omnitrain_phf.paper.alignment import align
from omnitrain_phf.paper.losses import AdvantageOptions, advantage_loss, advantages, token_nll, unlikelihood, unlikelihood_loss


def reference(logits, labels):
    flat = functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none")
    return flat.view_as(labels)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 4),
    length=st.integers(1, 7),
    words=st.integers(2, 30),
    chunk=st.integers(1, 100),
    seed=st.integers(0, 9),
)
def test_nll_and_its_gradient_are_those_of_cross_entropy(rows, length, words, chunk, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(rows, length, words, generator=generator)
    labels = torch.randint(words, (rows, length), generator=generator)
    weights = torch.randn(rows, length, generator=generator)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    before, losses.CHUNK = losses.CHUNK, chunk
    try:
        # A model's own logits are no leaf either.
        nll = token_nll(ours * 1, labels)
        (nll * weights).sum().backward()
    finally:
        losses.CHUNK = before
    expected = reference(theirs, labels)
    (expected * weights).sum().backward()
    torch.testing.assert_close(nll, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_nll_refuses_logits_that_something_else_needs():
    source = torch.randn(1, 3, 5, requires_grad=True)
    logits = source.exp()
    loss = token_nll(logits, torch.zeros(1, 3, dtype=torch.int64)).sum() + logits.sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_unlikelihood_is_finite_where_the_model_is_certain(dtype):
    for size in (0.0, 5.0, 20.0, 90.0, 1e4):
        source = torch.tensor([[[size, 0.0, -size]]], dtype=dtype, requires_grad=True)
        nll = token_nll(source * 1, torch.tensor([[0]]))
        loss = unlikelihood_loss(nll, torch.tensor([[1.0]]), 0.5).loss(1.0)
        loss.sum().backward()
        assert torch.isfinite(loss).all()
        assert torch.isfinite(source.grad).all()
    assert float(loss.detach()) == pytest.approx(-math.log(1e-20), rel=1e-6)


def test_unlikelihood_lowers_the_probability_of_a_bad_token():
    source = torch.zeros(1, 1, 4, requires_grad=True)
    nll = token_nll(source * 1, torch.tensor([[2]]))
    unlikelihood_loss(nll, torch.tensor([[0.9]]), 0.5).loss(1.0).sum().backward()
    assert source.grad[0, 0, 2] > 0
    assert (source.grad[0, 0, [0, 1, 3]] < 0).all()
    assert float(unlikelihood(torch.tensor(math.log(2.0)))) == pytest.approx(math.log(2.0))


def test_score_at_the_threshold_is_good_under_the_hard_mode_and_mixed_under_the_soft_one():
    nll = torch.full((1, 3), 0.5)
    scores = torch.tensor([[0.1, 0.2, 0.3]])
    hard, soft = unlikelihood_loss(nll, scores, 0.2), unlikelihood_loss(nll, scores, None)
    assert hard.share.tolist() == [[1, 1, 0]]
    assert soft.share[0].tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert hard.unlikelihood[0, :2].tolist() == [0, 0]
    assert (soft.unlikelihood > 0).all()


def test_soft_unlikelihood_with_scores_per_character_is_nearly_likelihood():
    nll = torch.rand(2, 50) * 5 + 0.1
    scores = torch.full_like(nll, 0.01)
    assert float(unlikelihood_loss(nll, scores, None).loss(1.0).mean() / nll.mean()) == pytest.approx(1, abs=0.02)


def test_rwr_with_the_official_offset_is_a_constant_factor():
    nll, scores = torch.rand(2, 9), torch.rand(2, 9)
    plain = advantage_loss(nll, scores, None, AdvantageOptions(10.0)).weighted
    offset = advantage_loss(nll, scores, None, AdvantageOptions(10.0, fixed_value=-0.5, use_value=False)).weighted
    torch.testing.assert_close(offset / plain, torch.full_like(plain, math.exp(0.05)))


def test_advantage_has_no_gradient_and_the_value_error_has_one():
    nll = torch.rand(1, 4, requires_grad=True)
    values = torch.full((1, 4), -0.5, requires_grad=True)
    found = advantage_loss(nll, torch.tensor([[0.0, 0.1, 0.5, 0.9]]), values, AdvantageOptions(1.0))
    found.loss(1.0).sum().backward()
    assert values.grad.tolist() == [[0, 0, 0, 0]]
    values.grad = None
    advantage_loss(nll.detach(), torch.zeros(1, 4), values, AdvantageOptions(1.0)).loss(0.5).sum().backward()
    assert (values.grad < 0).all()


def test_normalised_advantages_leave_positions_without_weight_out():
    scores = torch.tensor([[0.1, 0.5, 100.0]])
    real = torch.tensor([[True, True, False]])
    found = advantages(scores, None, AdvantageOptions(1.0, normalise=True), real)
    assert float(found[real].mean()) == pytest.approx(0, abs=1e-6)
    assert float(found[real].std()) == pytest.approx(1, rel=1e-5)


def test_alignment_gives_each_position_the_score_of_the_token_that_it_predicts():
    ids = np.array([[10, 11, 12, 13]])
    scores = np.array([[0.0, 0.1, 0.2, 0.3]], np.float32)
    fields = align(ids, scores)
    assert fields["input_ids"].tolist() == [[10, 11, 12, 13]]
    assert fields["labels"].tolist() == [[11, 12, 13, 0]]
    assert fields["token_scores"][0, :3].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert fields["loss_weights"].tolist() == [[1, 1, 1, 0]]
