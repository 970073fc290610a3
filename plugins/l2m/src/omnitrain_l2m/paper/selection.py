"""Which entry of the pool modulates an example: query, scores, and the counts that keep later tasks off earlier entries."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Similarity = Literal["cosine", "euclidean"]
UNSEEN = 1e-6


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """Return the query float[batch, width]: the mean over real steps of tokens float[batch, steps, width].

    mask: [batch, steps], 1 at real steps.
    """
    weights = mask.to(tokens.dtype)[..., None]
    return (tokens * weights).sum(1) / weights.sum(1).clamp(min=1)


def similarities(query: Tensor, keys: Tensor, kind: Similarity = "cosine") -> Tensor:
    """Return float[batch, entries]: cosines of queries float[batch, width] and keys float[entries, width], or -distances."""
    if kind == "euclidean":
        distances: Tensor = torch.linalg.vector_norm(query[:, None] - keys, dim=-1)
        return -distances
    return F.normalize(query, dim=-1) @ F.normalize(keys, dim=-1).T


def count_weights(counts: Tensor) -> Tensor:
    """Return float[entries]: 1 / (count + 1e-6), normalised to sum 1. Entries that were chosen get next to nothing."""
    inverse = 1 / (counts + UNSEEN)
    return inverse / inverse.sum()


def penalised(scores: Tensor, weights: Tensor, kind: Similarity = "cosine", shift: bool = True) -> Tensor:
    """Return scores as training sees them from the second task on: (cos + 1) / 2 times the weights of counts.

    shift: bring cosines to [0, 1] before, without which a small weight favours what points away. Distances are multiplied by
    1 - weight.
    """
    if kind == "euclidean":
        return scores * (1 - weights)
    return ((scores + 1) / 2 if shift else scores) * weights


def block_of_task(entries: int, tasks: int, task: int) -> slice:
    """Return which entries are a task's where it is known (the oracle): the task-th of equal consecutive blocks."""
    each = entries // tasks
    return slice(task * each, (task + 1) * each)


def within_block(scores: Tensor, block: slice) -> Tensor:
    """Return scores that are -inf outside a block of entries."""
    found = torch.full_like(scores, -torch.inf)
    found[:, block] = scores[:, block]
    return found


def counted(counts: Tensor, chosen: Tensor, updates: int) -> Tensor:
    """Return the running mean over forwards of the share of a batch that chose each entry, float[entries].

    chosen: int64[batch, top]. updates: forwards that are in `counts` already.
    """
    share = torch.bincount(chosen.flatten(), minlength=len(counts)).to(counts) / len(chosen)
    return counts + (share - counts) / (updates + 1)


def pull(scores: Tensor, chosen: Tensor) -> Tensor:
    """Return the similarities of examples with what they chose, summed over it, float[batch]: what training increases.

    scores: plain similarities float[batch, entries]. chosen: int64[batch, top].
    """
    return scores.gather(1, chosen).sum(1)
