"""Elastic weight consolidation (arXiv 1612.00796) and L2: weights that mattered to earlier tasks are held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kept = Literal["sum", "each", "last"]


def quadratic_penalty(parameters: Sequence[Tensor], anchors: Sequence[Tensor], importances: Sequence[Tensor]) -> Tensor:
    """Return sum of F (theta - theta*)^2 over all parameters, a scalar without any factor."""
    terms = [(f * (p - a) ** 2).sum() for f, p, a in zip(importances, parameters, anchors, strict=True)]
    return torch.stack(terms).sum()


class Consolidation:
    """A penalty factor * strength * sum of F (theta - theta*)^2 for the tasks so far.

    factor: 1/2 in the paper, 1 in L2M's code (arXiv 2306.14884). kept: "sum" holds theta* of the last task with F summed over
    tasks, at the cost of one penalty; "each" adds the penalties of all tasks, each with its own theta* and F; "last" takes
    that of the last task alone ("online" in L2M's code). importance: "fisher", or "one" for a plain L2 pull.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        strength: float,
        factor: float = 0.5,
        kept: Kept = "sum",
        importance: Literal["fisher", "one"] = "fisher",
    ) -> None:
        self._parameters, self._weight = list(parameters), strength * factor
        self._kept, self._importance = kept, importance
        self._fisher: list[list[Tensor]] = []
        self._anchor: list[list[Tensor]] = []

    def penalty(self) -> Tensor | None:
        """Return the penalty, a scalar, or None before the first task has ended."""
        if not self._fisher:
            return None
        pairs = zip(self._anchor, self._fisher, strict=True)
        return self._weight * torch.stack([quadratic_penalty(self._parameters, a, f) for a, f in pairs]).sum()

    def consolidate(self, batches: Iterable[Any], loss: Callable[[Any], Tensor]) -> None:
        """End a task: hold the present weights, each by its Fisher information, the mean of squared gradients over batches.

        batches: one example each for the Fisher information itself; whole batches square the gradient of their mean, as L2M's
        code does. loss: the negative log-likelihood of one, a scalar. With importance "one" neither is asked.
        """
        importances = [torch.ones_like(p) for p in self._parameters]
        if self._importance == "fisher":
            importances = self._fisher_of(batches, loss)
        anchors = [p.detach().clone() for p in self._parameters]
        if self._kept == "sum" and self._fisher:
            importances = [f + s for f, s in zip(self._fisher[0], importances, strict=True)]
        if self._kept == "each":
            self._fisher, self._anchor = [*self._fisher, importances], [*self._anchor, anchors]
        else:
            self._fisher, self._anchor = [importances], [anchors]

    def _fisher_of(self, batches: Iterable[Any], loss: Callable[[Any], Tensor]) -> list[Tensor]:
        squares = [torch.zeros_like(p) for p in self._parameters]
        count = 0
        for batch in batches:
            gradients = torch.autograd.grad(loss(batch), self._parameters, allow_unused=True)
            for square, gradient in zip(squares, gradients, strict=True):
                if gradient is not None:
                    square.addcmul_(gradient, gradient)
            count += 1
        return [square / max(count, 1) for square in squares]

    def state_dict(self) -> dict[str, Any]:
        """Return importances and anchors by task, one entry where tasks are not held apart."""
        return {"fisher": self._fisher, "anchor": self._anchor}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put them back."""
        self._fisher, self._anchor = [list(f) for f in state["fisher"]], [list(a) for a in state["anchor"]]
