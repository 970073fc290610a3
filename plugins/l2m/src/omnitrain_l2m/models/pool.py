"""Keys of a pool: which entries an example chooses by its query, and the counts that keep later tasks off earlier entries."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from omnitrain_l2m.paper.selection import (
    Similarity,
    block_of_task,
    count_weights,
    counted,
    penalised,
    pull,
    similarities,
    within_block,
)


class KeyPool(nn.Module):
    """Keys float[entries, width], drawn from U(-1, 1). Counts, weights and the task are saved with them.

    top: entries of an example. penalty: weigh by counts in training from the second task on. shift: see `penalised`. tasks:
    of the oracle, which chooses within a task's block; None for queries alone.
    """

    keys: nn.Parameter
    counts: Tensor
    weights: Tensor
    updates: Tensor
    task: Tensor

    def __init__(
        self,
        entries: int,
        width: int,
        top: int = 1,
        similarity: Similarity = "cosine",
        penalty: bool = True,
        shift: bool = True,
        tasks: int | None = None,
    ) -> None:
        super().__init__()
        self.keys = nn.Parameter(torch.empty(entries, width).uniform_(-1, 1))
        self.register_buffer("counts", torch.zeros(entries))
        self.register_buffer("weights", torch.ones(entries))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("task", torch.zeros((), dtype=torch.int64))
        self.top, self.similarity, self.penalty, self.shift, self.tasks = top, similarity, penalty, shift, tasks

    def begin_task(self, number: int) -> None:
        """Go on to a task, numbered from 0: from the second on, entries are weighed by what was counted so far."""
        self.task.fill_(number)
        if number:
            self.weights.copy_(count_weights(self.counts))

    def scores(self, query: Tensor, task: int | None = None) -> tuple[Tensor, Tensor]:
        """Return (what the choice goes by, plain similarities), both float[batch, entries].

        task: whose block the oracle chooses in; None for the one that is learned.
        """
        plain = used = similarities(query, self.keys, self.similarity)
        if self.training and self.penalty and int(self.task) and int(self.updates):
            used = penalised(plain, self.weights.to(plain.dtype), self.similarity, self.shift)
        if self.tasks is not None:
            known = int(self.task) if task is None else task
            used = within_block(used, block_of_task(len(self.keys), self.tasks, known))
        return used, plain

    def forward(self, query: Tensor, task: int | None = None) -> tuple[Tensor, Tensor]:
        """Return (entries int64[batch, top], similarity with them float[batch], which the keys learn from)."""
        used, plain = self.scores(query, task)
        chosen = used.detach().topk(self.top, dim=-1).indices
        return chosen, pull(plain, chosen)

    @torch.no_grad()
    def count(self, chosen: Tensor) -> None:
        """Take note of the choices of a batch of training."""
        self.counts.copy_(counted(self.counts, chosen, int(self.updates)))
        self.updates += 1
