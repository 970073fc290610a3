"""Losses and gradients of one batch, in float64 where model and objective can be taken there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import CarriesState, Loss
from omnitrain.engine import isolated

SEED = 20


def evaluate(objective: Any, model: nn.Module, batch: dict[str, Any]) -> Loss:
    """Return the loss of one batch, without a stream's earlier state; draws are the same at every call."""
    with isolated(SEED):
        if isinstance(objective, CarriesState):
            return objective.step(model, batch, objective.initial_state(model, batch))[0]
        loss: Loss = objective(model, batch)
        return loss


@dataclass(frozen=True)
class Measured:
    """Sums of a batch and the gradient of its total, by parameter; None for one that gets none."""

    total: float
    weight: float
    gradient: Mapping[str, Tensor | None]

    def __add__(self, other: Measured) -> Measured:
        names = {**self.gradient, **other.gradient}
        gradient = {name: _sum(self.gradient.get(name), other.gradient.get(name)) for name in names}
        return Measured(self.total + other.total, self.weight + other.weight, gradient)

    def difference(self, other: Measured, tolerance: float) -> str | None:
        """Say what differs by more than the relative tolerance, or None."""
        for name in ("weight", "total"):
            a, b = getattr(self, name), getattr(other, name)
            if not abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-12):
                return f"{name} {b:.9g} instead of {a:.9g}"
        size = _norm(self.gradient.values())
        worst = {name: _norm([_sum(g, _negative(other.gradient.get(name)))]) for name, g in self.gradient.items()}
        if sum(v * v for v in worst.values()) ** 0.5 > tolerance * max(size, 1e-12):
            name = max(worst, key=lambda key: worst[key])
            return f"a gradient that is {sum(v * v for v in worst.values()) ** 0.5 / size:.1e} off, most in {name!r}"
        return None


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _negative(a: Tensor | None) -> Tensor | None:
    return None if a is None else -a


def _norm(values: Any) -> float:
    return float(sum(float(v.double().square().sum()) for v in values if v is not None) ** 0.5)


def measure(objective: Any, model: nn.Module, batch: dict[str, Any]) -> Measured:
    """Return sums and gradient of one batch; auxiliary losses count with their coefficients.

    Raises ValueError when the total carries no gradient.
    """
    model.zero_grad(set_to_none=True)
    loss = evaluate(objective, model, batch)
    total = loss.total
    for part in loss.auxiliary.values():
        total = total + part.coefficient * part.total
    if not total.requires_grad:
        raise ValueError("the loss's total carries no gradient: compute it from the model's outputs without detaching them")
    total.backward()  # type: ignore[no-untyped-call]  # own update: nothing is trained, the gradients are looked at
    gradient = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    return Measured(float(total.detach()), float(loss.weight), gradient)


class Sharp:
    """An objective and a model in the highest precision that they take. tolerance: relative, of comparisons."""

    cast: Callable[[dict[str, Any]], dict[str, Any]]

    def __init__(self, objective: Any, make_model: Callable[[], nn.Module], batch: dict[str, Any]) -> None:
        self.objective = objective
        self.model, self.cast, self.tolerance = make_model().double(), _doubled, 1e-5
        try:
            evaluate(objective, self.model, self.cast(batch))
        except (RuntimeError, TypeError):  # some part insists on float32
            self.model, self.cast, self.tolerance = make_model(), _same, 1e-4

    def __call__(self, batch: dict[str, Any]) -> Measured:
        """Measure one batch."""
        return measure(self.objective, self.model, self.cast(batch))


def _doubled(batch: dict[str, Any]) -> dict[str, Any]:
    return {k: v.double() if isinstance(v, Tensor) and v.is_floating_point() else v for k, v in batch.items()}


def _same(batch: dict[str, Any]) -> dict[str, Any]:
    return batch


def equal(a: Any, b: Any) -> bool:
    """Whether two batches, or parts of them, agree in every bit."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    if hasattr(a, "dtype") and hasattr(b, "dtype"):
        one, other = torch.as_tensor(a), torch.as_tensor(b)
        return one.dtype == other.dtype and one.shape == other.shape and bool(torch.eq(one, other).logical_or(one != one).all())
    return bool(a == b)
