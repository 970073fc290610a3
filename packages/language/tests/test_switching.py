"""Adapters switched off for a while."""

from typing import Any

import pytest
import torch
from conftest import FakeContext

from omnitrain.errors import UsageError
from omnitrain_language.switching import adapters_off, has_adapters

FACTS = {"vocabulary_size": 61, "pad_id": 0, "eos_id": 1}
IDS = torch.tensor([[3, 9, 27, 5]])


def with_adapters(context: FakeContext, **settings: Any) -> tuple[Any, torch.Tensor]:
    """Return a model whose adapters changed, and its logits before."""
    model = context.make("causal", "model", FACTS, **{"size": "tiny", "max_length": 32, "lora": {"rank": 2}, **settings}).eval()
    before = logits(model)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    assert not torch.equal(logits(model), before)
    return model, before


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(input_ids=IDS).logits
        return result


class Whole(torch.nn.Module):
    """A plugin's model that holds one of language."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, **inputs: Any) -> Any:
        return self.inner(**inputs)


@pytest.mark.parametrize("wrap", [lambda m: m, Whole, lambda m: torch.compile(m, backend="eager")])
def test_the_model_without_adapters_is_had_through_every_wrapper(context: FakeContext, wrap: Any) -> None:
    model, before = with_adapters(context)
    wrapped = wrap(model)
    tuned = logits(wrapped)
    for _ in range(2):
        with adapters_off(wrapped):
            torch.testing.assert_close(logits(wrapped), before, rtol=0, atol=1e-6)
        assert torch.equal(logits(wrapped), tuned)


def fail_inside(model: Any, before: torch.Tensor) -> None:
    with adapters_off(model):
        with adapters_off(model):
            pass
        assert torch.equal(logits(model), before)
        raise KeyError


def test_blocks_lie_within_each_other_and_end_with_errors(context: FakeContext) -> None:
    model, before = with_adapters(context)
    tuned = logits(model)
    with pytest.raises(KeyError):
        fail_inside(model, before)
    assert torch.equal(logits(model), tuned)


@pytest.mark.parametrize("frozen", [False, True])
def test_what_is_trained_stays_as_it_was(context: FakeContext, frozen: bool) -> None:
    model, _ = with_adapters(context)
    if frozen:
        model.requires_grad_(False)
    trained = [p.requires_grad for p in model.parameters()]
    loss = None if frozen else model(input_ids=IDS).logits.square().mean()
    with adapters_off(model):
        logits(model)
    assert [p.requires_grad for p in model.parameters()] == trained
    if loss is not None:
        loss.backward()
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_a_model_without_adapters_is_refused(context: FakeContext) -> None:
    model = context.make("causal", "model", FACTS, size="tiny", max_length=32)
    assert not has_adapters(model)
    with pytest.raises(UsageError, match="set lora on the model, or take a frozen copy"), adapters_off(model):
        pass
