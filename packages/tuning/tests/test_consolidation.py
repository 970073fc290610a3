"""Penalties of earlier tasks: held as one, each, or the last alone."""

import pytest
import torch

from omnitrain_tuning.consolidation import Consolidation

DATA = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, -1.0]), torch.tensor([0.5, 0.5])]


def learned(**settings):
    """Three tasks; return the penalty's owner, the weight, and (importance, anchor) of each task."""
    weight = torch.nn.Parameter(torch.tensor([0.0, 0.0]))
    held = Consolidation([weight], 10.0, **settings)
    kept = []
    assert held.penalty() is None
    for number, data in enumerate(DATA):
        with torch.no_grad():
            weight.copy_(data * (number + 1))
        held.consolidate([data, 2 * data], lambda x: (x * weight).sum())
        kept.append(((data**2 + 4 * data**2) / 2, weight.detach().clone()))
    with torch.no_grad():
        weight.copy_(torch.tensor([-1.0, 4.0]))
    return held, weight.detach(), kept


def expected(weight, pairs):
    return sum((importance * (weight - anchor) ** 2).sum() for importance, anchor in pairs).item()


def test_each_task_has_an_anchor_and_an_importance_of_its_own():
    held, weight, kept = learned(kept="each", factor=1.0)
    assert held.penalty().item() == pytest.approx(10 * expected(weight, kept))


def test_the_sum_is_anchored_at_the_last_task_with_half_the_strength():
    held, weight, kept = learned()
    total = sum(importance for importance, _ in kept)
    assert held.penalty().item() == pytest.approx(5 * expected(weight, [(total, kept[-1][1])]))


def test_the_last_task_alone_is_held():
    held, weight, kept = learned(kept="last")
    assert held.penalty().item() == pytest.approx(5 * expected(weight, kept[-1:]))


def test_a_plain_pull_asks_no_gradients():
    weight = torch.nn.Parameter(torch.ones(2))
    held = Consolidation([weight], 3.0, factor=1.0, kept="each", importance="one")
    held.consolidate(iter(()), lambda batch: pytest.fail("asked for a loss"))
    with torch.no_grad():
        weight.add_(2)
    assert held.penalty().item() == pytest.approx(3 * 2 * 4)


@pytest.mark.parametrize("kept", ["sum", "each", "last"])
def test_what_is_held_survives_a_checkpoint(kept):
    held, weight, _ = learned(kept=kept)
    again = Consolidation([torch.nn.Parameter(weight.clone())], 10.0, kept=kept)
    again.load_state_dict(held.state_dict())
    assert torch.equal(again.penalty(), held.penalty())
    assert again.penalty().requires_grad
