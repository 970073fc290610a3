"""Token losses as pure functions: sums over weighted tokens, in float32, or in float64 where logits are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from omnitrain.api import Part


def token_cross_entropy(
    logits: Tensor, labels: Tensor, label_smoothing: float = 0.0, z_loss: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return (loss, negative log-likelihood) of each token, both float32[batch, length] (float64 for such logits).

    logits: [batch, length, vocabulary] of any float type; labels: int64[batch, length], negative ones count as id 0 and
    must have weight zero. loss = (1-s) nll + s mean over the vocabulary of -log p + z_loss logsumexp(logits)^2.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32)).flatten(0, 1)
    targets = labels.clamp(min=0).flatten()
    nll = functional.cross_entropy(logits, targets, reduction="none").view_as(labels)
    loss = nll
    if label_smoothing:
        smoothed = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=label_smoothing)
        loss = smoothed.view_as(labels)
    if z_loss:
        loss = loss + z_loss * torch.logsumexp(logits, dim=-1).square().view_as(labels)
    return loss, nll


def weighted_sum(values: Tensor, weights: Tensor) -> Tensor:
    """Return sum of values x weights; where a weight is zero the value does not count, even if it is infinite."""
    return torch.where(weights != 0, values * weights, 0.0).sum()


def parts_by_group(values: Tensor, weights: Tensor, groups: Tensor, names: Sequence[str]) -> dict[str, Part]:
    """Return the weighted sum and the weight of each group.

    values, weights: float32[batch, length]; groups: int[batch] or int[batch, length], outside 0..len(names)-1 for none.
    """
    groups = groups if groups.ndim == 2 else groups[:, None].expand_as(values)
    inside = (groups >= 0) & (groups < len(names))
    weights = torch.where(inside, weights, 0.0).flatten()
    index = torch.where(inside, groups, 0).flatten().long()
    empty = torch.zeros(len(names), dtype=torch.float32, device=values.device)
    weighted = torch.where(weights != 0, values.detach().flatten() * weights, 0.0)
    totals, sums = empty.index_add(0, index, weighted), empty.index_add(0, index, weights)
    return {name: Part(totals[i], sums[i]) for i, name in enumerate(names)}
