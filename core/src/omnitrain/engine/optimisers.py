"""Optimisers, their parameter groups and the learning rate as a plain function of the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api.protocols import GroupsParameters
from omnitrain.engine.settings import OptimiserConfig, ScheduleConfig
from omnitrain.errors import EnvironmentFault, UsageError

Groups = Sequence[Mapping[str, Any]]


def parameter_groups(
    model: nn.Module | Groups, weight_decay: float, only: Iterable[nn.Parameter] | None = None
) -> list[dict[str, Any]]:
    """Return the trainable parameters in groups: matrices with weight decay, vectors and scalars without.

    A model with `parameter_groups` (see `GroupsParameters`) names its own, and groups of that form may stand in a model's
    place. "lr_scale" multiplies the learning rate. only: leave out all other parameters.
    """
    if only is not None:
        chosen = {id(parameter) for parameter in only}
        found = [
            {**group, "params": [p for p in group["params"] if id(p) in chosen]}
            for group in parameter_groups(model, weight_decay)
        ]
        return [group for group in found if group["params"]]
    if isinstance(model, GroupsParameters) or not isinstance(model, nn.Module):
        named = model.parameter_groups() if isinstance(model, GroupsParameters) else model
        return [{"lr_scale": 1.0, "weight_decay": weight_decay, **group} for group in named]
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim >= 2 else plain).append(parameter)
    groups = [(decayed, weight_decay), (plain, 0.0)] if weight_decay else [(decayed + plain, 0.0)]
    return [{"params": p, "weight_decay": d, "lr_scale": 1.0} for p, d in groups if p]


def make_optimiser(
    config: OptimiserConfig,
    model: nn.Module | Groups,
    learning_rate: float,
    only: Iterable[nn.Parameter] | None = None,
) -> torch.optim.Optimizer:
    """Build the optimiser that the config names over the model's trainable parameters, or over given groups of them.

    A group is {"params": [...]} and any of "lr_scale", "weight_decay" (by default 1 and the config's, for all in it).
    only: leave out all other parameters.
    Raises UsageError when nothing is trainable, EnvironmentFault when the optimiser's library is missing.
    """
    groups = parameter_groups(model, config.weight_decay, only)
    if not groups:
        raise UsageError("The model has no trainable parameter; unfreeze something or use core/evaluate.")
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate, betas=config.betas, eps=config.eps, fused=True)
    if config.name == "adam":
        return torch.optim.Adam(groups, lr=learning_rate, betas=config.betas, eps=config.eps, fused=True)
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=learning_rate, momentum=config.momentum, fused=True)
    return _adafactor(config, groups, learning_rate)


def _adafactor(config: OptimiserConfig, groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
    """Adafactor with an external learning rate as T5 uses it: no momentum, relative update clipping."""
    try:
        from transformers.optimization import Adafactor
    except ImportError as error:
        raise EnvironmentFault(
            "Adafactor comes with transformers, which is not installed: pip install transformers."
        ) from error
    optimiser: torch.optim.Optimizer = Adafactor(  # type: ignore[no-untyped-call, unused-ignore]
        groups,
        lr=learning_rate,
        eps=(1e-30, 1e-3),
        clip_threshold=config.clip_threshold,
        decay_rate=-config.decay_exponent,
        scale_parameter=config.scale_parameter,
        relative_step=False,
        warmup_init=False,
    )
    return optimiser


def make_schedule(config: ScheduleConfig, learning_rate: float, steps: int) -> Callable[[int], float]:
    """Return the learning rate as a function of the update's number 1, 2, ..., steps.

    Warm-up is linear from learning_rate / warmup_steps. "inverse-sqrt" is learning_rate * sqrt(max(w, 1) / max(step, w, 1))
    with w = warmup_steps and no rise before: constant, then falling (T5: learning_rate 0.01, warmup_steps 10000).
    """
    warm, low = config.warmup_steps, config.final_fraction

    def falling(step: int) -> float:
        left = max(steps - warm, 1)
        u = min(max(step - 1 - warm, 0) / left, 1.0)
        if config.name == "linear":
            return 1.0 - (1.0 - low) * u
        if config.name == "cosine":
            return low + (1.0 - low) * 0.5 * (1.0 + math.cos(math.pi * u))
        return 1.0

    def rate(step: int) -> float:
        if config.name == "inverse-sqrt":
            return learning_rate * math.sqrt(max(warm, 1) / max(step, warm, 1))
        rise = min(step / warm, 1.0) if warm else 1.0
        return learning_rate * rise * falling(step)

    return rate


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Write the learning rate into every group, times the group's "lr_scale"."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["lr_scale"]


def total_norm(gradients: list[Tensor]) -> Tensor:
    """Return the Euclidean norm over all gradients, float32 scalar."""
    if not gradients:
        return torch.zeros(())
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


class MovingAverage:
    """An exponential moving average of a model's parameters: average <- decay * average + (1 - decay) * parameter."""

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], decay: float) -> None:
        named = [(n, p) for n, p in parameters if p.requires_grad]
        self.decay = decay
        self._names = [n for n, _ in named]
        self._live = [p.detach() for _, p in named]
        self._average = [p.detach().clone() for _, p in named]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the parameters; called after every applied update."""
        torch._foreach_lerp_(self._average, self._live, 1.0 - self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Run a block, such as an evaluation or a save, with the average in place of the parameters."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for live, average in zip(self._live, self._average, strict=True):
            kept = live.clone()
            live.copy_(average)
            average.copy_(kept)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averages by parameter name."""
        return dict(zip(self._names, self._average, strict=True))

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from saved averages."""
        for name, average in zip(self._names, self._average, strict=True):
            average.copy_(state[name])
