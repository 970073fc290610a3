"""How the experts answer together (section 3.3): the element-wise maximum of their softmaxes over all seen classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def ensemble_scores(logits: Tensor) -> Tensor:
    """Return float[batch, classes]: max over experts of softmax(logits). Scores need not sum to 1.

    logits: float[experts, batch, classes] over all classes seen so far.
    """
    return torch.softmax(logits, dim=-1).amax(dim=0)


def first_argmax(scores: Tensor) -> Tensor:
    """Return int64[batch]: the highest column, the first of equal ones.

    torch does not promise which of equal maxima argmax names, so they are looked for.
    """
    best = scores.amax(dim=-1, keepdim=True)
    return (scores == best).to(torch.uint8).argmax(dim=-1)


def task_of_class(classes_per_task: Sequence[int], device: torch.device | None = None) -> Tensor:
    """Return int64[classes]: the task of each new label."""
    counts = torch.tensor(list(classes_per_task), device=device)
    return torch.repeat_interleave(torch.arange(len(classes_per_task), device=device), counts)


def known_task_argmax(scores: Tensor, targets: Tensor, task_of: Tensor) -> Tensor:
    """Return int64[batch]: the best column among those of the target's own task; the scores stay as they are.

    scores: float[batch, classes]. targets: int64[batch]. task_of: int64[classes].
    """
    own = task_of[None, : scores.shape[1]] == task_of[targets][:, None]
    return first_argmax(scores.masked_fill(~own, -torch.inf))


@dataclass(frozen=True)
class Answers:
    """Predicted new labels of a batch, int64[batch] each: by every expert, together, and with the task known.

    scores: float[batch, classes], by which `ensemble` and `task_known` were decided.
    """

    experts: tuple[Tensor, ...]
    ensemble: Tensor
    task_known: Tensor
    scores: Tensor


def answer(logits: Tensor, targets: Tensor, task_of: Tensor, only_offline: bool = False) -> Answers:
    """Decide a batch from the logits of one forward pass.

    logits: float[experts, batch, classes], the online expert first. only_offline: decide without the online expert,
    where there is another.
    """
    deciding = logits[1:] if only_offline and len(logits) > 1 else logits
    scores = ensemble_scores(deciding)
    experts = tuple(first_argmax(z) for z in logits)
    return Answers(experts, first_argmax(scores), known_task_argmax(scores, targets, task_of), scores)
