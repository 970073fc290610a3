"""Elastic weight consolidation (arXiv 1612.00796), a baseline: weights that mattered to earlier tasks are held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Consolidation:
    """A quadratic penalty strength / 2 * sum of F (theta - theta*)^2, with F summed over tasks and theta* of the last one."""

    def __init__(self, parameters: Sequence[nn.Parameter], strength: float) -> None:
        self._parameters, self._strength = list(parameters), strength
        self._fisher: list[Tensor] = []
        self._anchor: list[Tensor] = []

    def penalty(self) -> Tensor | None:
        """Return the penalty, a scalar, or None before the first task has ended."""
        if not self._fisher:
            return None
        terms = [(f * (p - a) ** 2).sum() for f, p, a in zip(self._fisher, self._parameters, self._anchor, strict=True)]
        return self._strength / 2 * torch.stack(terms).sum()

    def consolidate(self, batches: Iterable[Any], loss: Callable[[Any], Tensor]) -> None:
        """Add the Fisher information of a task: the mean of squared gradients of single examples.

        batches: one example each. loss: the negative log-likelihood of one, a scalar.
        """
        squares = [torch.zeros_like(p) for p in self._parameters]
        count = 0
        for batch in batches:
            gradients = torch.autograd.grad(loss(batch), self._parameters, allow_unused=True)
            for square, gradient in zip(squares, gradients, strict=True):
                if gradient is not None:
                    square.addcmul_(gradient, gradient)
            count += 1
        squares = [square / max(count, 1) for square in squares]
        self._fisher = [f + s for f, s in zip(self._fisher, squares, strict=True)] if self._fisher else squares
        self._anchor = [p.detach().clone() for p in self._parameters]

    def state_dict(self) -> dict[str, Any]:
        """Return Fisher information and anchors."""
        return {"fisher": self._fisher, "anchor": self._anchor}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put them back."""
        self._fisher, self._anchor = list(state["fisher"]), list(state["anchor"])
