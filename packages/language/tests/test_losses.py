from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import FakeContext
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.errors import UsageError
from omnitrain_language.losses import token_cross_entropy

FACTS = {"vocabulary_size": 61, "pad_id": 0, "eos_id": 1, "group_names": {"task_ids": ["r", "s", "x"]}}


def causal_batch(rows: int = 4, length: int = 6, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "input_ids": torch.randint(3, 61, (rows, length), generator=generator),
        "labels": torch.randint(3, 61, (rows, length), generator=generator),
        "loss_weights": torch.randint(0, 2, (rows, length), generator=generator).float(),
        "task_ids": torch.tensor([0, 1, 1, 2])[:rows],
    }


def objective(context: FakeContext, **config: Any) -> Any:
    return context.make("causal-nll", "objective", FACTS, **config)


def model(context: FakeContext) -> Any:
    return context.make("causal", "model", FACTS, size="tiny", max_length=16)


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 0.5), st.floats(0, 0.1))
def test_token_loss_is_its_formula(smoothing: float, z_loss: float) -> None:
    logits = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1, 2], [3, 4, 6]])
    loss, nll = token_cross_entropy(logits, labels, smoothing, z_loss)
    log_p = logits.double().log_softmax(-1)
    expected_nll = -log_p.gather(-1, labels[..., None])[..., 0]
    expected = (1 - smoothing) * expected_nll - smoothing * log_p.mean(-1)
    expected = expected + z_loss * logits.double().logsumexp(-1) ** 2
    torch.testing.assert_close(nll.double(), expected_nll, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(loss.double(), expected, atol=1e-5, rtol=1e-5)


def test_loss_is_a_sum_that_adds_up_over_micro_batches(context: FakeContext) -> None:
    net, loss = model(context), objective(context)
    batch = causal_batch()
    whole = loss(net, batch)
    halves = [loss(net, {k: v[i : i + 2] for k, v in batch.items()}) for i in (0, 2)]
    torch.testing.assert_close(whole.total, halves[0].total + halves[1].total)
    assert whole.weight == halves[0].weight + halves[1].weight == batch["loss_weights"].sum()


def test_loss_of_a_batch_without_weights_is_zero_with_zero_gradient(context: FakeContext) -> None:
    net = model(context)
    batch = causal_batch()
    batch["loss_weights"].zero_()
    batch["labels"].fill_(-100)
    loss = objective(context, z_loss=1e-4, group="task_ids")(net, batch)
    loss.total.backward()
    assert loss.total == 0
    assert loss.weight == 0
    assert all(p.grad is None or (p.grad == 0).all() for p in net.parameters())


def test_groups_add_up_to_the_whole_and_padding_belongs_to_none(context: FakeContext) -> None:
    net, batch = model(context), causal_batch()
    loss = objective(context, group="task_ids")(net, batch)
    assert list(loss.parts) == ["r", "s", "x"]
    torch.testing.assert_close(sum(p.total for p in loss.parts.values()), loss.total.detach())
    per_token = torch.full_like(batch["labels"], -1)
    per_token[0] = 2
    loss = objective(context, group="task_ids")(net, {**batch, "task_ids": per_token})
    assert loss.parts["x"].weight == batch["loss_weights"][0].sum()
    assert loss.parts["r"].weight == 0


def test_regularised_loss_reports_the_plain_nll(context: FakeContext) -> None:
    net, batch = model(context), causal_batch()
    plain = objective(context)(net, batch)
    regular = objective(context, z_loss=0.1)(net, batch)
    torch.testing.assert_close(regular.parts["nll"].total, plain.total.detach())
    assert regular.total > plain.total
    assert plain.parts == {}


def test_loss_is_float32_under_autocast(context: FakeContext) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = objective(context)(model(context), causal_batch())
    assert loss.total.dtype == torch.float32


def test_unknown_group_is_refused(context: FakeContext) -> None:
    with pytest.raises(UsageError, match="names no groups for 'domain'"):
        objective(context, group="domain")


def test_model_that_would_ignore_segments_is_refused(context: FakeContext) -> None:
    from transformers import GPT2LMHeadModel

    batch = {**causal_batch(), "segment_ids": torch.ones(4, 6, dtype=torch.long)}
    plain = GPT2LMHeadModel(model(context).config)
    with pytest.raises(UsageError, match="segment_ids"):
        objective(context)(plain, batch)


def test_label_at_a_position_is_what_it_predicts(context: FakeContext) -> None:
    net, batch = model(context), causal_batch()
    with torch.no_grad():
        log_p = net(input_ids=batch["input_ids"]).logits.log_softmax(-1)
        expected = -(log_p.gather(-1, batch["labels"][..., None])[..., 0] * batch["loss_weights"]).sum()
        torch.testing.assert_close(objective(context)(net, batch).total, expected)


def test_seq2seq_loss_ignores_padded_inputs_and_targets(context: FakeContext) -> None:
    net = context.make("t5", "model", FACTS, size="tiny")
    loss = context.make("seq2seq-nll", "objective", FACTS)
    inputs, targets = torch.tensor([[5, 6, 1]]), torch.tensor([[7, 8, 1]])
    batch = {
        "input_ids": inputs,
        "attention_mask": torch.ones(1, 3, dtype=torch.bool),
        "decoder_input_ids": torch.tensor([[0, 7, 8]]),
        "labels": targets,
        "loss_weights": torch.ones(1, 3),
    }
    pad = torch.nn.functional.pad
    padded = {name: pad(value, (0, 2)) for name, value in batch.items()}
    torch.testing.assert_close(loss(net, batch).total, loss(net, padded).total, atol=1e-4, rtol=1e-5)
    assert loss(net, padded).weight == 3
