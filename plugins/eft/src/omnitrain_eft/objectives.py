"""Objective `eft/dpo`: preferences without a reward model; the tuned model's implicit reward is what EFT composes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnitrain.api import Batch, Context, Loss, Part
from omnitrain_eft.configs.objectives import DpoConfig
from omnitrain_eft.data.preferences import NEEDS, reply_log_probs


def dpo_loss(margin: Tensor, reference_margin: Tensor, beta: float) -> Tensor:
    """Return -log sigmoid(beta (margin - reference_margin)), float[batch].

    margin: log pi(chosen) - log pi(rejected) of the trained model; reference_margin: the same of the reference.
    """
    return -functional.logsigmoid(beta * (margin - reference_margin))


class Dpo:
    """Sum of the loss over pairs; the weight is their number."""

    needs = NEEDS

    def __init__(self, config: DpoConfig) -> None:
        self.config = config

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss, the share of pairs that are told apart, and the mean reward margin."""
        margin = reply_log_probs(model, batch, "chosen") - reply_log_probs(model, batch, "rejected")
        weights = batch["pair_weights"]
        loss = dpo_loss(margin, batch["reference_margin"], self.config.beta)
        reward = self.config.beta * (margin - batch["reference_margin"]).detach()
        weight = weights.sum()
        parts = {
            "accuracy": Part(((reward > 0) * weights).sum(), weight),
            "reward_margin": Part((reward * weights).sum(), weight),
        }
        return Loss(torch.where(weights != 0, loss * weights, 0.0).sum(), weight, parts)


def build_dpo(config: DpoConfig, context: Context) -> Dpo:
    """Make the objective `eft/dpo`."""
    return Dpo(config)
