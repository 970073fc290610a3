"""The six objectives as components: they read any batch for causal models that carries `token_scores`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import Batch, Context, Fields, Loss, Part
from omnitrain.errors import UsageError
from omnitrain_language.losses import weighted_sum
from omnitrain_language.masks import check_masks
from omnitrain_language.objectives import CAUSAL_NEEDS, model_inputs
from omnitrain_phf.configs.objectives import AwrConfig, ConditionalConfig, MleConfig, RwrConfig, UnlikelihoodConfig
from omnitrain_phf.paper.losses import AdvantageOptions, Regressed, advantage_loss, token_nll, unlikelihood_loss

SCORED: Fields = {**CAUSAL_NEEDS, "token_scores": "float32[batch, length]"}
# The official code trains RWR with a value head that nothing trains: it says -0.5 everywhere.
UNTRAINED_VALUE = -0.5


class _Objective:
    """What all have in common: check the model once, call it, get the nll of each token."""

    needs: Fields = SCORED
    with_values = False

    def __init__(self) -> None:
        self._checked = False

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return (nll, values or None) of each position, [batch, length].

        Raises UsageError for a model of another kind, or one without a value head where one is needed.
        """
        if not self._checked:
            check_masks(model, batch)
            if self.with_values and not any(getattr(module, "has_values", False) for module in model.modules()):
                raise UsageError(
                    "this objective needs a model with a value head: use phf/causal with value_head: {}, or set use_value_head "
                    "to false with alpha: 1"
                )
            self._checked = True
        extra = {"with_values": True} if self.with_values else {}
        out = model(**model_inputs(batch), use_cache=False, **extra)
        values = out.values if self.with_values else None
        return token_nll(out.logits, batch["labels"]), values


def _parts(weights: Tensor, **values: Tensor) -> dict[str, Part]:
    weight = weights.sum()
    return {name: Part(weighted_sum(value.detach(), weights), weight) for name, value in values.items()}


class Mle(_Objective):
    """Plain next-token likelihood; also what is minimised on filtered data."""

    needs: Fields = CAUSAL_NEEDS

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the sum of nll over the weighted tokens."""
        nll, _ = self.forward(model, batch)
        weights = batch["loss_weights"]
        return Loss(weighted_sum(nll, weights), weights.sum())


class Conditional(_Objective):
    """Next-token likelihood of text with control tokens; reports good and bad tokens apart."""

    def __init__(self, config: ConditionalConfig) -> None:
        super().__init__()
        self.config = config

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the sum of nll over the weighted tokens."""
        nll, _ = self.forward(model, batch)
        weights = batch["loss_weights"]
        good = weights * (batch["token_scores"] <= self.config.threshold)
        parts = {
            "aligned": Part(weighted_sum(nll.detach(), good), good.sum()),
            "misaligned": Part(weighted_sum(nll.detach(), weights - good), (weights - good).sum()),
        }
        return Loss(weighted_sum(nll, weights), weights.sum(), parts)


class Unlikelihood(_Objective):
    """Likelihood of good tokens, unlikelihood of bad ones."""

    def __init__(self, config: UnlikelihoodConfig) -> None:
        super().__init__()
        self.config = config

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the sum over the weighted tokens."""
        nll, _ = self.forward(model, batch)
        weights, scores = batch["loss_weights"], batch["token_scores"]
        found = unlikelihood_loss(nll, scores, self.config.score_threshold if self.config.mode == "threshold" else None)
        parts = _parts(
            weights,
            avg_token_score=scores,
            aligned_token_count=found.share,
            likelihood_loss=found.likelihood,
            unlikelihood_loss=found.unlikelihood,
        )
        return Loss(weighted_sum(found.loss(self.config.alpha), weights), weights.sum(), parts)


class Awr(_Objective):
    """Advantage-weighted regression; the value head learns beside it."""

    def __init__(self, config: AwrConfig) -> None:
        super().__init__()
        self.config = config
        self.with_values = config.use_value_head
        # How many rows the whole update has: under accumulation the statistics would be those of a micro-batch.
        self.needs = {**SCORED, "update_rows": "int64[batch]"} if config.normalize_advantage else SCORED
        self.options = AdvantageOptions(
            beta=config.beta,
            largest_weight=config.clip_weight_max,
            clip_value=config.clip_value,
            fixed_value=config.fixed_value,
            use_value=config.use_value_head,
            normalise=config.normalize_advantage,
        )

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the sum over the weighted tokens.

        Raises UsageError where advantages are to be normalised over a part of an update.
        """
        if self.config.normalize_advantage and int(batch["update_rows"][0]) != len(batch["update_rows"]):
            raise UsageError(
                "normalize_advantage needs the whole update at once: set fit.accumulate to 1 and train with one process"
            )
        nll, values = self.forward(model, batch)
        weights = batch["loss_weights"]
        found = advantage_loss(nll, batch["token_scores"], values, self.options, weights != 0)
        total = weighted_sum(found.loss(self.config.alpha), weights)
        return Loss(total, weights.sum(), _parts(weights, **regression_parts(nll, found)))


def regression_parts(nll: Tensor, found: Regressed) -> Mapping[str, Tensor]:
    """Return what the official code logs as plain means, by its names; each [batch, length]."""
    parts = {
        "lm_loss": nll,
        "weighted_lm_loss": found.weighted,
        "weight_avg": found.weight,
        "advantage_avg": found.advantage,
    }
    if found.value is not None and found.value_error is not None:
        parts |= {"value_loss": found.value_error, "value_avg": found.value}
    return parts


class Rwr(_Objective):
    """Reward-weighted regression: tokens weighted with exp(R / beta)."""

    def __init__(self, config: RwrConfig) -> None:
        super().__init__()
        value = UNTRAINED_VALUE if config.official_value_offset else 0.0
        self.options = AdvantageOptions(config.beta, config.clip_weight_max, fixed_value=value, use_value=False)

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the sum over the weighted tokens."""
        nll, _ = self.forward(model, batch)
        weights = batch["loss_weights"]
        found = advantage_loss(nll, batch["token_scores"], None, self.options)
        return Loss(weighted_sum(found.weighted, weights), weights.sum(), _parts(weights, **regression_parts(nll, found)))


def regression_statistics(found: Regressed, scores: Tensor, real: Tensor) -> dict[str, float]:
    """Return extremes, spread and correlation that no sum can tell (official names), over tokens with real.

    scores, real: [batch, length]. Fewer than two tokens or no spread give NaN.
    """
    weight = found.weight[real]
    out = {"weights_min": weight.min(), "weights_max": weight.max()}
    if found.value is not None:
        value, reward = found.value[real].detach(), -scores[real].to(found.value.dtype)
        out |= {"value_min": value.min(), "value_max": value.max(), "value_std": _std(value)}
        out["value_reward_corr"] = _correlation(value, reward)
    return {name: float(number) for name, number in out.items()}


def _std(values: Tensor) -> Tensor:
    return values.std() if values.numel() > 1 else torch.full((), torch.nan)


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    if a.numel() < 2:
        return torch.full((), torch.nan)
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())


def build_mle(config: MleConfig, context: Context) -> Any:
    """Make the objective `phf/mle`."""
    return Mle()


def build_conditional(config: ConditionalConfig, context: Context) -> Any:
    """Make the objective `phf/conditional`."""
    return Conditional(config)


def build_unlikelihood(config: UnlikelihoodConfig, context: Context) -> Any:
    """Make the objective `phf/unlikelihood`."""
    return Unlikelihood(config)


def build_awr(config: AwrConfig, context: Context) -> Any:
    """Make the objective `phf/awr`."""
    return Awr(config)


def build_rwr(config: RwrConfig, context: Context) -> Any:
    """Make the objective `phf/rwr`."""
    return Rwr(config)
