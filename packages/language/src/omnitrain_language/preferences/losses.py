"""Losses of preference pairs as pure functions on log-probabilities, in the float type that they are given.

Symbols: y_w is the chosen response of a pair and y_l the rejected one, pi the trained model and pi_ref the reference. Unless a
function says otherwise, log-probabilities are sums over the tokens of a response, and values are float[pairs].
h = (log pi(y_w) - log pi_ref(y_w)) - (log pi(y_l) - log pi_ref(y_l)) is the margin that all but ORPO are functions of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

EXO_LEAST_SMOOTHING = 1e-3
# A mean log-probability of 0 would give infinite odds.
_HIGHEST_MEAN = -1e-7


def margin(chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor) -> Tensor:
    """Return h: by how much more than the reference a model prefers the chosen responses."""
    return (chosen - reference_chosen) - (rejected - reference_rejected)


def dpo_loss(h: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """Return -(1-e) log sigmoid(beta h) - e log sigmoid(-beta h): DPO (arXiv 2305.18290, eq. 7), conservative for e > 0.

    label_smoothing: e, the share of pairs whose sides are taken to be exchanged.
    """
    loss = -functional.logsigmoid(beta * h)
    if not label_smoothing:
        return loss
    return (1 - label_smoothing) * loss - label_smoothing * functional.logsigmoid(-beta * h)


def robust_loss(h: Tensor, beta: float, label_smoothing: float) -> Tensor:
    """Return [-(1-e) log sigmoid(beta h) + e log sigmoid(-beta h)] / (1-2e) (arXiv 2403.00409, eq. 12).

    It is what DPO would have on clean labels, in the mean, where a share e < 1/2 of them is exchanged; it can be negative.
    """
    e = label_smoothing
    return (e * functional.logsigmoid(-beta * h) - (1 - e) * functional.logsigmoid(beta * h)) / (1 - 2 * e)


def ipo_loss(h: Tensor, beta: float) -> Tensor:
    """Return (h - 1/(2 beta))^2 (arXiv 2310.12036, eq. 17)."""
    return (h - 1 / (2 * beta)).square()


def hinge_loss(h: Tensor, beta: float) -> Tensor:
    """Return max(0, 1 - beta h) (arXiv 2305.10425)."""
    return torch.relu(1 - beta * h)


def exo_pair_loss(h: Tensor, beta: float, label_smoothing: float) -> Tensor:
    """Return s (log s - log(1-e)) + (1-s)(log(1-s) - log e) with s = sigmoid(beta h): EXO of pairs (arXiv 2402.00856, eq. 17).

    The reverse KL from the model's preference to the smoothed label; 0 where s = 1-e. label_smoothing 0, for which it would be
    infinite, is taken as 0.001.
    """
    e = label_smoothing or EXO_LEAST_SMOOTHING
    log_s, log_other = functional.logsigmoid(beta * h), functional.logsigmoid(-beta * h)
    return log_s.exp() * (log_s - math.log1p(-e)) + log_other.exp() * (log_other - math.log(e))


def log1mexp(x: Tensor) -> Tensor:
    """Return log(1 - exp(x)) for x < 0, exact to rounding near 0 and far from it."""
    near = x > -math.log(2.0)
    # Each branch on values of its own, so that the other one's infinities reach no gradient.
    small, large = torch.where(near, x, -1.0), torch.where(near, -1.0, x)
    return torch.where(near, torch.log(-torch.expm1(small)), torch.log1p(-torch.exp(large)))


def log_odds_ratio(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return log [odds(y_w) / odds(y_l)], odds(p) = p/(1-p), of MEAN log-probabilities a token (arXiv 2403.07691, eq. 4)."""
    chosen, rejected = chosen.clamp(max=_HIGHEST_MEAN), rejected.clamp(max=_HIGHEST_MEAN)
    return (chosen - rejected) - (log1mexp(chosen) - log1mexp(rejected))


def odds_ratio_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return -log sigmoid(log_odds_ratio), ORPO's second term (eq. 7) before its weight; takes MEAN log-probabilities.

    ORPO's loss is NLL(prompt and y_w) + beta times this.
    """
    return -functional.logsigmoid(log_odds_ratio(chosen, rejected))


LOSSES: Mapping[str, Callable[[Tensor, float, float], Tensor]] = {
    "dpo": dpo_loss,
    "ipo": lambda h, beta, _: ipo_loss(h, beta),
    "hinge": lambda h, beta, _: hinge_loss(h, beta),
    "robust": robust_loss,
    "exo": exo_pair_loss,
}
"""Losses of the margin by name: (h, beta, label_smoothing) -> float[pairs]."""


@dataclass(frozen=True)
class Rewards:
    """Implicit rewards beta (log pi - log pi_ref) of both sides, float[pairs]; without a reference, beta log pi."""

    chosen: Tensor
    rejected: Tensor

    @property
    def margins(self) -> Tensor:
        """Reward of the chosen minus that of the rejected response, float[pairs]."""
        return self.chosen - self.rejected

    @property
    def right(self) -> Tensor:
        """1 where the chosen response has the higher reward, else 0, float[pairs]; its mean is the accuracy."""
        return (self.chosen > self.rejected).to(self.chosen.dtype)


def rewards(
    chosen: Tensor,
    rejected: Tensor,
    beta: float,
    reference_chosen: Tensor | None = None,
    reference_rejected: Tensor | None = None,
) -> Rewards:
    """Return the rewards of both sides, without a gradient."""
    gains = [
        beta * (own if other is None else own - other).detach()
        for own, other in ((chosen, reference_chosen), (rejected, reference_rejected))
    ]
    return Rewards(*gains)
