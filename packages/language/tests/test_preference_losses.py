"""Losses of preference pairs: golden vectors of trl 0.11.4 in both precisions, and what holds for all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from omnitrain_language.preferences import losses
from omnitrain_language.preferences.log_probs import response_log_probs

GOLDEN = Path(__file__).parent / "golden"
NAMES = {"exo_pair": "exo", "sigmoid": "dpo"}
PRECISIONS = [torch.float64, torch.float32]
# Of values of trl's float64: in float32 sums of some hundreds carry 2e-5 of rounding.
MARGIN_TOLERANCE = {torch.float64: {"rel": 1e-11, "abs": 1e-11}, torch.float32: {"rel": 1e-4, "abs": 1e-4}}
MEAN_TOLERANCE = {torch.float64: {"rel": 1e-11, "abs": 1e-11}, torch.float32: {"rel": 2e-6, "abs": 2e-6}}


def cases(name: str) -> list[tuple[Any, Any]]:
    return [(case["input"], case["output"]) for case in json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))["cases"]]


def leaf(values: Any, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_losses_of_the_margin_are_those_of_trl(dtype: torch.dtype) -> None:
    for given, expected in cases("dpo_exo_loss"):
        chosen, rejected = (leaf(given[f"policy_{side}_logps"], dtype) for side in ("chosen", "rejected"))
        references = [torch.tensor(given[f"reference_{side}_logps"], dtype=dtype) for side in ("chosen", "rejected")]
        kind, beta = given["loss_type"], given["beta"]
        h = losses.margin(chosen, rejected, *references)
        found = losses.LOSSES[NAMES.get(kind, kind)](h, beta, given["label_smoothing"])
        found.mean().backward()
        told = losses.rewards(chosen, rejected, beta, *references)
        near = MARGIN_TOLERANCE[dtype]
        assert found.dtype == told.margins.dtype == dtype
        assert found.tolist() == pytest.approx(expected["losses"], **near), given
        assert float(found.detach().mean()) == pytest.approx(expected["loss_mean"], **near)
        assert told.chosen.tolist() == pytest.approx(expected["chosen_rewards"], **near)
        assert told.rejected.tolist() == pytest.approx(expected["rejected_rewards"], **near)
        assert float(told.right.mean()) == expected["reward_accuracy"]
        assert float(told.margins.mean()) == pytest.approx(expected["reward_margin"], **near)
        assert chosen.grad is not None
        assert rejected.grad is not None
        assert chosen.grad.tolist() == pytest.approx(expected["grad_of_mean_wrt_policy_chosen"], **near)
        assert rejected.grad.tolist() == pytest.approx(expected["grad_of_mean_wrt_policy_rejected"], **near)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_orpo_is_that_of_trl(dtype: torch.dtype) -> None:
    for given, expected in cases("orpo_loss"):
        chosen, rejected = (leaf(given[f"policy_{side}_avg_logps"], dtype) for side in ("chosen", "rejected"))
        beta, near = given["beta"], MEAN_TOLERANCE[dtype]
        terms = losses.odds_ratio_loss(chosen, rejected)
        total = given["chosen_nll_loss"] + beta * terms.mean()
        total.backward()
        told = losses.rewards(chosen, rejected, beta)
        assert (-beta * terms).tolist() == pytest.approx(expected["or_terms"], **near), given
        assert float(total.detach()) == pytest.approx(expected["total_loss"], **near)
        assert float(-terms.detach().mean()) == pytest.approx(expected["mean_log_sigmoid_log_odds"], **near)
        assert float(losses.log_odds_ratio(chosen, rejected).detach().mean()) == pytest.approx(
            expected["mean_log_odds"], **near
        )
        assert told.chosen.tolist() == pytest.approx(expected["chosen_rewards"], **near)
        assert told.rejected.tolist() == pytest.approx(expected["rejected_rewards"], **near)
        assert chosen.grad is not None
        assert rejected.grad is not None
        assert chosen.grad.tolist() == pytest.approx(expected["grad_wrt_chosen"], **near)
        assert rejected.grad.tolist() == pytest.approx(expected["grad_wrt_rejected"], **near)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_sums_and_means_of_responses_are_those_of_trl(dtype: torch.dtype) -> None:
    for given, expected in cases("sequence_logps"):
        labels = torch.tensor(given["labels"])[:, 1:]
        found = response_log_probs(torch.tensor(given["logits"], dtype=dtype)[:, :-1], labels, (labels >= 0).to(dtype))
        values = found.means if given["average_log_prob"] else found.sums
        assert values.dtype == dtype
        assert values.tolist() == pytest.approx(expected["logps"], **MEAN_TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_losses_far_out_are_finite_and_have_finite_gradients(dtype: torch.dtype) -> None:
    for name, loss in losses.LOSSES.items():
        h = leaf([-1e5, -50.0, 0.0, 50.0, 1e5], dtype)
        found = loss(h, 0.5, 0.1)
        found.sum().backward()
        assert bool(found.isfinite().all()), name
        assert h.grad is not None
        assert bool(h.grad.isfinite().all()), name
    for p in (0.0, -1e-9, -1e-3, -0.7, -5.0, -800.0):
        chosen, rejected = leaf([p], dtype), leaf([-3.0], dtype)
        losses.odds_ratio_loss(chosen, rejected).sum().backward()
        assert chosen.grad is not None
        assert bool(chosen.grad.isfinite().all()), p


def test_exo_is_zero_at_the_smoothed_label_and_above_elsewhere() -> None:
    h = torch.linspace(-8, 8, 401, dtype=torch.float64)
    found = losses.exo_pair_loss(h, 1.0, 0.1)
    assert float(losses.exo_pair_loss(torch.tensor([math.log(9.0)], dtype=torch.float64), 1.0, 0.1)) == pytest.approx(
        0, abs=1e-15
    )
    assert float(found.min()) >= 0
    assert torch.equal(losses.exo_pair_loss(h, 1.0, 0.0), losses.exo_pair_loss(h, 1.0, 1e-3))


def test_a_token_without_weight_counts_nothing_even_where_it_is_impossible() -> None:
    logits = torch.zeros(1, 2, 4)
    logits[0, 1, 3] = -torch.inf
    found = response_log_probs(logits, torch.tensor([[1, 3]]), torch.tensor([[1.0, 0.0]]))
    assert found.sums.tolist() == pytest.approx([-math.log(4)])
    assert found.counts.tolist() == [1.0]
