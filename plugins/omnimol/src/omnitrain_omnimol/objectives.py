"""Objective `omnimol/answers`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnitrain.api import Auxiliary, Batch, Context, Fields, Loss, Part
from omnitrain_language.losses import parts_by_group
from omnitrain_language.objectives import group_names
from omnitrain_omnimol.configs.objectives import AnswersConfig

_INPUTS = ("input_ids", "labels", "loss_weights", "attention_mask", "graph_mask", "atoms", "bonds")
NEEDS: Fields = {
    "input_ids": "int64[batch, length]",
    "labels": "int64[batch, length]",
    "loss_weights": "float32[batch, length]",
    "attention_mask": "bool[batch, length]?",
    "task_ids": "int64[batch]",
    "graph_mask": "bool[batch, length]?",
    "atoms": "int64[batch, atoms, 2]?",
    "bonds": "int64[batch, bonds, 4]?",
}


def even_loss(nll: Tensor, weights: Tensor, tasks: Tensor, count: int) -> Tensor:
    """Return the mean over the tasks of a batch of L_t / (L_t without gradient + 1e-5), L_t the mean loss of task t.

    nll, weights: float[n]; tasks: int64[n]; count: of all tasks.
    """
    empty = torch.zeros(count, dtype=nll.dtype, device=nll.device)
    sums, sizes = empty.index_add(0, tasks, nll * weights), empty.index_add(0, tasks, weights.to(nll.dtype))
    means = sums[sizes > 0] / sizes[sizes > 0]
    return (means / (means.detach() + 1e-5)).mean() if len(means) else nll.sum() * 0


class AnswerLoss:
    """Sum of token cross entropy at answers, and the experts' balance beside it."""

    needs = NEEDS

    def __init__(self, config: AnswersConfig, names: Sequence[str]) -> None:
        self.config, self.names = config, names

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss of a batch, with parts by task and the load of the experts."""
        found = model(**{name: batch[name] for name in _INPUTS if name in batch})
        logits = found.logits.to(torch.promote_types(found.logits.dtype, torch.float32))
        nll = functional.cross_entropy(logits, found.labels, reduction="none")
        weights, weight = found.weights, found.weights.sum()
        tasks = batch["task_ids"][found.rows]
        parts = dict(parts_by_group(nll[:, None], weights[:, None], tasks, self.names))
        total = (nll * weights).sum()
        if self.config.even_tasks:
            parts["nll"] = Part(total.detach(), weight)
            total = even_loss(nll, weights, tasks, len(self.names)) * weight
        auxiliary: dict[str, Auxiliary] = {}
        if found.auxiliary is not None and self.config.balance:
            # Weighted as the answers are, so that micro-batches add up to their weighted mean.
            auxiliary["balance"] = Auxiliary(found.auxiliary * weight, None, self.config.balance)
        if found.load is not None:
            parts |= {f"load/{number}": Part(load * weight, weight) for number, load in enumerate(found.load)}
        return Loss(total, weight, parts, auxiliary)


def build_answers(config: AnswersConfig, context: Context) -> AnswerLoss:
    """Make the objective `omnimol/answers`."""
    return AnswerLoss(config, group_names("task_ids", context.facts))
