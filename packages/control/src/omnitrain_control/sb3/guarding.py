"""What is watched of an algorithm: gradients before each update, and what its network gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import Run
from omnitrain.engine import Guard
from omnitrain.errors import NumericalError


def guard_updates(
    optimisers: Mapping[str, torch.optim.Optimizer], run: Run, allowed: int, step: Callable[[], int]
) -> dict[str, Guard]:
    """Let no update with a NaN or infinite gradient be applied; return the guard of each optimiser.

    allowed: updates in a row that may be left out before NumericalError. step: tells the step for the event.
    """
    guards = {}
    for name, optimiser in optimisers.items():
        guards[name] = guard = Guard(run, allowed)
        optimiser.register_step_pre_hook(_looking(guard, step))
    return guards


def _looking(guard: Guard, step: Callable[[], int]) -> Callable[..., None]:
    def look(optimiser: torch.optim.Optimizer, *ignored: Any) -> None:
        parameters = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        gradients = [p.grad for p in parameters if p.grad is not None]
        finite = not gradients or bool(torch.nn.utils.get_total_norm(gradients).isfinite())
        guard.note(step(), finite)
        if not finite:
            for parameter in parameters:  # an optimiser passes over what has no gradient
                parameter.grad = None

    return look


def guard_outputs(module: nn.Module, who: str, advice: str) -> None:
    """Refuse what a network gives once it is not finite, whether it plays or learns.

    who, advice: of the message. The module is the last one before actions or values, such as `action_net`.
    """

    def check(module: nn.Module, inputs: Any, outputs: Tensor) -> None:
        if not bool(outputs.isfinite().all()):
            raise NumericalError(f"{who}: the policy's outputs are not finite; {advice}.")

    module.register_forward_hook(check)
