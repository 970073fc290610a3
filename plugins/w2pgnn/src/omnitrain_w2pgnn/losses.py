"""The losses of the pre-training strategies, as sums over rows."""

from __future__ import annotations

import torch
from torch import Tensor


def in_batch_contrast(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each key against all queries of the batch, its own the right one, summed (GCC, end to end).

    queries, keys: float[rows, dim], used as they are. The official logits are k q^T / temperature with the diagonal as target.
    """
    logits = keys @ queries.T / temperature
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(queries), device=queries.device), reduction="sum")


def queue_logits(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Return float[rows, 1 + queue]: similarity with the own key first, then with the queue (GCC, MoCo)."""
    own = (queries * keys).sum(dim=1, keepdim=True)
    return torch.cat([own, queries @ queue.T], dim=1) / temperature


def queue_contrast(logits: Tensor) -> Tensor:
    """Cross-entropy with column 0 as the right one, summed over rows."""
    right = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    return torch.nn.functional.cross_entropy(logits, right, reduction="sum")


def push(queue: Tensor, keys: Tensor, index: int) -> tuple[Tensor, int]:
    """Return the queue with its rows from `index` on overwritten cyclically by the keys, and the next index."""
    places = (torch.arange(len(keys), device=queue.device) + index) % len(queue)
    return queue.index_copy(0, places, keys.detach().to(queue.dtype)), (index + len(keys)) % len(queue)


def normalised_contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """NT-Xent as in GraphCL: cosine similarities, the own pair not among the negatives, both directions, summed over rows.

    Returns 0 for a single row, which has no negatives.
    """
    if len(first) < 2:
        return (first * second).sum() * 0
    a = torch.nn.functional.normalize(first, dim=1)
    b = torch.nn.functional.normalize(second, dim=1)
    similarity = a @ b.T / temperature
    own = similarity.diagonal()
    others = similarity.masked_fill(torch.eye(len(a), dtype=torch.bool, device=a.device), float("-inf"))
    return -(own - others.logsumexp(dim=1) + own - others.logsumexp(dim=0)).sum() / 2
