"""The losses of phasic policy gradient with a leash (section 4.4, app. G; Cobbe et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PolicyLoss:
    """Terms of the wake phase, means over steps; total leaves out the value, which has its own."""

    policy_gradient: Tensor
    negative_entropy: Tensor
    kl_penalty: Tensor
    clip_fraction: Tensor
    approximate_kl: Tensor

    @property
    def total(self) -> Tensor:
        """The policy's loss."""
        return self.policy_gradient + self.negative_entropy + self.kl_penalty


def policy_loss(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantages: Tensor,
    entropy: Tensor,
    clip: float = 0.2,
    entropy_coefficient: float = 0.0,
    kl_coefficient: float = 0.0,
) -> PolicyLoss:
    """Return the clipped surrogate: mean of max(-A r, -A clip(r, 1 - c, 1 + c)) with r = exp(log_prob - old_log_prob).

    All float[...] of one shape; clip 0 leaves out the clipping. kl_coefficient: of half the squared difference of
    log-probabilities. VPT uses no entropy bonus.
    """
    ratio = torch.exp(log_prob - old_log_prob)
    plain = -advantages * ratio
    surrogate = torch.maximum(plain, -advantages * ratio.clamp(1.0 - clip, 1.0 + clip)) if clip > 0 else plain
    approximate = 0.5 * ((log_prob - old_log_prob) ** 2).mean()
    outside = ((ratio - 1.0).abs() > clip).to(ratio.dtype).mean()
    return PolicyLoss(
        surrogate.mean(), -entropy_coefficient * entropy.mean(), kl_coefficient * approximate, outside.detach(), approximate
    )


def value_loss(values: Tensor, targets: Tensor, coefficient: float = 0.5) -> Tensor:
    """Return coefficient * mean squared error; nothing is clipped."""
    return coefficient * ((values - targets) ** 2).mean()


@dataclass(frozen=True)
class SleepLoss:
    """Terms of the sleep phase. distance: mean KL(policy before the sleep || now), not yet multiplied."""

    distance: Tensor
    auxiliary_value: Tensor
    true_value: Tensor | None
    kl_coefficient: float

    @property
    def total(self) -> Tensor:
        """The loss."""
        total = self.kl_coefficient * self.distance + self.auxiliary_value
        return total if self.true_value is None else total + self.true_value


def sleep_loss(
    distance: Tensor, auxiliary: Tensor, targets: Tensor, true_values: Tensor | None = None, kl_coefficient: float = 1.0
) -> SleepLoss:
    """Return the sleep phase's loss.

    distance: KL per step float[...]. auxiliary: values of the head on the policy's trunk, targets: theirs. true_values: of a
    separate value network; VPT has none, policy and value share the trunk, and the auxiliary head is the value head.
    """
    true = None if true_values is None else value_loss(true_values, targets)
    return SleepLoss(distance.mean(), value_loss(auxiliary, targets), true, kl_coefficient)


def leash(initial: float, decay: float, iteration: int) -> float:
    """Return rho of an iteration 0, 1, 2, ...: initial * decay^iteration (paper: 0.2 and 0.9995)."""
    return float(initial * decay**iteration)
