"""The offline expert: an exponential moving average of the online one, moved after every step (section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Chain = Literal["corrected", "official"]


@torch.no_grad()
def accumulate(offline: Sequence[Sequence[Tensor]], online: Sequence[Tensor], decay: float, chain: Chain = "corrected") -> None:
    """Move every offline expert in place: offline <- decay * offline + (1 - decay) * online.

    offline: the state entries of each offline expert, in the order of `online`; scales and biases are entries too.
    With several experts the last follows the online one and each earlier one the next later one, all from their values
    before the step. "official" repeats a fault of the official code: only the last expert moves.
    """
    if not offline or not online:
        return
    targets = [list(online)] if chain == "official" else [*[[t.clone() for t in o] for o in offline[1:]], list(online)]
    moved = offline[-1:] if chain == "official" else offline
    for expert, target in zip(moved, targets, strict=True):
        torch._foreach_lerp_(list(expert), list(target), 1.0 - decay)


def horizon_decay(steps_per_task: float, tasks: float) -> float:
    """Return the decay whose horizon 1 / (1 - decay) is that many tasks of steps; the paper's own lies between 2 and 10."""
    return 1.0 - 1.0 / max(steps_per_task * tasks, 1.0)


def scaled_decay(decay: float, batch_size: int, reference: int) -> float:
    """Return the decay per step of `batch_size` images that forgets as fast per image as `decay` at `reference` images."""
    return float(decay ** (batch_size / reference))


def decay_and_rule(
    decay: float, batch_size: int, reference: int | None, steps_per_task: int, horizon: float | None
) -> tuple[float, str]:
    """Return the decay of a step and the rule that it follows, in words; see `AccumulationConfig` for the settings."""
    if horizon is not None:
        return horizon_decay(steps_per_task, horizon), f"1 - 1 / (steps of a task x {horizon:g})"
    if reference is not None:
        return scaled_decay(decay, batch_size, reference), f"{decay:g} ^ ({batch_size} / {reference})"
    return decay, f"{decay:g} as given"
