"""Anchor-and-reconcile mixture of experts: which layers have it, how tokens are routed, and the loss that balances it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Place = Literal["first_half", "second_half", "second_quarter", "sparse", "dense", "none"]


def moe_layers(place: Place, layers: int) -> list[int]:
    """Return the numbers of the layers that get experts. `second_quarter` is what the code calls the last quarter."""
    starts = {"first_half": 0, "second_half": layers // 2, "second_quarter": layers - layers // 4, "dense": 0}
    if place == "none":
        return []
    if place == "sparse":
        return list(range(0, layers, 4))
    return list(range(starts[place], layers // 2 if place == "first_half" else layers))


def route(router_logits: Tensor, top_k: int, normalise: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return (probabilities [..., experts], weights [..., k], chosen int64[..., k]) of tokens.

    router_logits: float[..., experts]. The softmax is taken in float32, or in float64 for such logits. normalise: the k weights
    are divided by their sum, for k above 1.
    """
    probabilities = router_logits.to(torch.promote_types(router_logits.dtype, torch.float32)).softmax(dim=-1)
    weights, chosen = probabilities.topk(top_k, dim=-1)
    if normalise and top_k > 1:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return probabilities, weights, chosen


def expert_load(chosen: Tensor, experts: int) -> Tensor:
    """Return f_e = E x share of the routed slots that go to expert e, float32[..., experts], without gradient.

    chosen: int64[..., tokens, k].
    """
    slots = torch.nn.functional.one_hot(chosen, experts).sum(dim=(-3, -2)).float()
    return experts * slots / (chosen.shape[-1] * chosen.shape[-2])


def balance_loss(probabilities: Tensor, chosen: Tensor, per_sequence: bool) -> Tensor:
    """Return sum_e mean(P_e) f_e over all positions of a batch, a scalar; 1 where experts are used alike.

    probabilities: float[batch, length, experts]. chosen: int64[batch, length, k]. per_sequence: of each sequence, averaged.
    """
    experts = probabilities.shape[-1]
    if not per_sequence:
        probabilities, chosen = probabilities.flatten(0, 1)[None], chosen.flatten(0, 1)[None]
    load = expert_load(chosen, experts).to(probabilities.dtype)
    return (probabilities.mean(dim=1) * load).sum(dim=-1).mean()
