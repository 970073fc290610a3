"""Objective `language/preference`: losses of pairs with both sides in one forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from omnitrain.api import Auxiliary, Batch, Fields, Loss, Part
from omnitrain_language.configs.objectives import PreferenceConfig
from omnitrain_language.losses import weighted_sum
from omnitrain_language.masks import check_masks
from omnitrain_language.preferences.batches import PAIRS, REFERENCE
from omnitrain_language.preferences.log_probs import PairLogProbs, pair_log_probs
from omnitrain_language.preferences.losses import LOSSES, Rewards, log_odds_ratio, margin, odds_ratio_loss, rewards


class Preference:
    """Base of both kinds of loss: one forward pass, and what is told of every batch."""

    needs: ClassVar[Fields] = PAIRS
    _prompts = False

    def __init__(self, config: PreferenceConfig) -> None:
        self.config = config
        self._checked = False

    def _measured(self, model: nn.Module, batch: Batch) -> PairLogProbs:
        if not self._checked:
            check_masks(model, batch)
            self._checked = True
        return pair_log_probs(model, batch, self._prompts)

    def _parts(self, found: Rewards, batch: Batch) -> dict[str, Part]:
        """Return accuracy and rewards, each a sum over pairs."""
        weights = batch["pair_weights"]
        told = {
            "accuracy": found.right,
            "reward_margin": found.margins,
            "reward_chosen": found.chosen,
            "reward_rejected": found.rejected,
        }
        weight = weights.sum()
        return {name: Part(weighted_sum(values, weights), weight) for name, values in told.items()}


class MarginPreference(Preference):
    """Sum over pairs of a loss of the margin to the reference; the weight is their number."""

    needs: ClassVar[Fields] = {**PAIRS, **REFERENCE}

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss, the share of pairs that are told apart, and the mean rewards."""
        config, found, weights = self.config, self._measured(model, batch), batch["pair_weights"]
        chosen, rejected = found.chosen.sums, found.rejected.sums
        references = batch["reference_chosen"], batch["reference_rejected"]
        if config.length_normalised:
            # The reference is of the same tokens.
            chosen, rejected = found.chosen.means, found.rejected.means
            counts = found.chosen.counts, found.rejected.counts
            references = tuple(r / n.clamp(min=1e-20) for r, n in zip(references, counts, strict=True))
        losses = LOSSES[config.loss](margin(chosen, rejected, *references), config.beta, config.label_smoothing)
        parts = self._parts(rewards(chosen, rejected, config.beta, *references), batch)
        return Loss(weighted_sum(losses, weights), weights.sum(), parts)


class OddsRatioPreference(Preference):
    """ORPO: token NLL of prompts and chosen responses, and the odds ratio as an auxiliary loss with the pairs' weight."""

    _prompts = True

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return both losses, the share of pairs that are told apart, the rewards beta log p a token, the log odds ratio."""
        beta, found, weights = self.config.beta, self._measured(model, batch), batch["pair_weights"]
        assert found.nll is not None
        assert found.nll_tokens is not None
        chosen, rejected = found.chosen.means, found.rejected.means
        pairs = weights.sum()
        # Scaled by 1 where beta is 0, so that the accuracy is told there too.
        parts = self._parts(rewards(chosen, rejected, beta or 1.0), batch)
        ratio = log_odds_ratio(chosen, rejected).detach()
        parts["log_odds_ratio"] = Part(weighted_sum(ratio, weights), pairs)
        odds = Auxiliary(weighted_sum(odds_ratio_loss(chosen, rejected), weights), pairs, beta)
        tokens = weighted_sum(found.nll_tokens, weights)
        return Loss(weighted_sum(found.nll, weights), tokens, parts, {"odds_ratio": odds})

    def weights(self, batch: Batch) -> Mapping[str, float]:
        """Return the tokens of prompts and chosen responses, and the pairs."""
        pairs: Tensor = torch.as_tensor(batch["pair_weights"])
        tokens = torch.as_tensor(batch["attention_mask"])[:, 0].sum(dim=-1)
        return {"": float(weighted_sum(tokens, pairs)), "odds_ratio": float(pairs.sum())}


def preference(config: PreferenceConfig) -> Preference:
    """Return the objective of a loss."""
    return OddsRatioPreference(config) if config.loss == "orpo" else MarginPreference(config)
