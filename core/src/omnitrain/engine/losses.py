"""What an objective must return for an update to mean anything, checked without waiting for the device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from omnitrain.api.results import Loss
from omnitrain.engine.misfits import explain
from omnitrain.errors import NumericalError, PluginError

WITHOUT_LOSS = 100


class LossCheck:
    """Refuses losses that no update can be made of, in sentences that name the objective.

    name: the objective's address; without one its class is named.
    """

    def __init__(self, objective: Any, name: str = "") -> None:
        kind = objective if hasattr(objective, "__qualname__") else type(objective)
        self._name = name or f"{kind.__module__}.{kind.__qualname__}"
        # Of updates whose weight only the device knows: whether it was zero or negative beside a loss.
        self._unread: list[Tensor] = []
        # Whether a line of the log had a weight, and whether one had none.
        self._weighed = self._empty = False

    def explain(self, error: Exception, model: Any) -> None:
        """Raise PluginError for what the objective raised on a model; see `misfits.explain`."""
        explain(error, f"The objective {self._name}", model)

    def loss(self, loss: Any) -> None:
        """Refuse what is no loss to differentiate.

        Raises PluginError for another type, for a total or weight that is no scalar and where no gradient flows from the total.
        """
        if not isinstance(loss, Loss):
            raise PluginError(
                f"The objective {self._name} returned {type(loss).__name__}; it must return omnitrain.api.Loss (a sum and its "
                "weight)."
            )
        total, weight = loss.total, loss.weight
        if isinstance(weight, Tensor) and weight.ndim:
            self._refuse(f"a weight of shape {list(weight.shape)}")
        if not isinstance(total, Tensor) or total.ndim or not total.requires_grad:
            raise PluginError(f"The objective {self._name} returned {_fault(total)}")

    def weight(self, total: Tensor, weight: Tensor) -> Tensor:
        """Return 1 / weight for the gradients of an update, NaN where the weight is no weight; weight 0 beside loss 0 is one.

        Raises PluginError for a weight that is zero or negative although there is a loss; on a GPU `read` does so.
        """
        if weight.is_cpu:
            amount = weight.item()
            if amount <= 0 and math.isfinite(value := total.item()) and value != 0:
                self._refuse(f"weight {amount:g} beside a total of {value:g}")
            return 1.0 / torch.clamp(weight, min=1e-20)
        return self._weight_on_device(total.detach(), weight)

    def _weight_on_device(self, total: Tensor, weight: Tensor) -> Tensor:
        unusable = (weight <= 0) & (total != 0) & torch.isfinite(total)
        self._unread.append(unusable)
        return torch.where(unusable, torch.nan, 1.0 / torch.clamp(weight, min=1e-20))

    def read(self) -> None:
        """Read from the device what `weight` noted; call it where the device is waited for anyway."""
        unread, self._unread = self._unread, []
        if unread and bool(torch.stack(unread).any()):
            self._refuse("a weight that is zero or negative beside a total that is not zero")

    def interval(self, step: int, weighed: bool) -> None:
        """Take note of a line of the log. weighed: whether one of the updates that it sums had a weight.

        Raises NumericalError when no update had one so far and enough were made to tell.
        """
        self._weighed = self._weighed or weighed
        self._empty = self._empty or not weighed
        if step >= WITHOUT_LOSS:
            self.ended(step)

    def ended(self, step: int) -> None:
        """Take note of the end. Raises NumericalError when no update had a weight."""
        if self._empty and not self._weighed:
            raise NumericalError(
                f"The objective {self._name} gave weight 0 in each of the {step} updates so far, so nothing was learnt; look "
                "at what its data marks as having a loss (omnitrain run --dry-run shows examples)."
            )

    def _refuse(self, what: str) -> None:
        raise PluginError(
            f"The objective {self._name} returned {what}; a weight is the number of elements that were summed, zero only where "
            "there are none."
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what was noted so far; call `read` before."""
        return {"weighed": self._weighed, "empty": self._empty}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._unread, self._weighed, self._empty = [], bool(state["weighed"]), bool(state["empty"])


def _fault(total: Any) -> str:
    if not isinstance(total, Tensor):
        return f"a total of type {type(total).__name__}; it must be a tensor."
    if total.ndim:
        return f"a total of shape {list(total.shape)}; it must be a scalar, the sum over all elements."
    return "a total that no gradient flows from; it must depend on the model's trainable parameters."
