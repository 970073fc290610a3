"""Settings of the objectives. Light: imports only omnitrain.api, pydantic and other settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config
from omnitrain_language.configs.limits import Fraction
from omnitrain_phf.configs.scorers import Score


class MleConfig(Config):
    """Next-token likelihood."""


class ConditionalConfig(Config):
    """Next-token likelihood of text with control tokens; its parts are good and bad tokens."""

    threshold: Score = 0.0
    """Tokens with at most this score are reported as good."""


class UnlikelihoodConfig(Config):
    """Likelihood of good tokens, unlikelihood of bad ones."""

    mode: Literal["threshold", "soft"] = "threshold"
    """`threshold`: a token is good or bad. `soft`: likelihood has weight 1 - score, unlikelihood weight score, as in the
    official code where its threshold is 0 (PII, PEP8)."""
    score_threshold: Score = 0.0
    """Tokens with at most this score are good. Code: 7.8e-4 (toxicity), 0 (PII, PEP8)."""
    alpha: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the unlikelihood. Code: 1 (toxicity, PII), 0.01 (PEP8)."""


class RwrConfig(Config):
    """Reward-weighted regression."""

    beta: Annotated[float, Field(gt=0)] = 10.0
    """Tokens are weighted with exp(-score / beta). Paper: 10."""
    official_value_offset: bool = False
    """Weights exp((0.5 - score) / beta), from the untrained value head of the official code."""
    clip_weight_max: Annotated[float, Field(gt=0)] = 1000.0
    """Largest weight."""


class AwrConfig(Config):
    """Advantage-weighted regression."""

    alpha: Fraction = 0.5
    """Share of the language model's loss; the rest is the value head's. Code: 0.5 (toxicity, PII), 0.05 (PEP8)."""
    beta: Annotated[float, Field(gt=0)] = 1.0
    """Tokens are weighted with exp(advantage / beta). Code: 10 (toxicity), 0.1 (PII), 1 (PEP8)."""
    clip_weight_max: Annotated[float, Field(gt=0)] = 1000.0
    """Largest weight."""
    clip_value: bool = False
    """Cut values to [-1, 0] first."""
    fixed_value: float = 0.0
    """A constant in the place of the value in the advantage; 0 is none."""
    use_value_head: bool = True
    """Without it the advantage is the reward, and there is no value loss."""
    normalize_advantage: bool = False
    """Centre advantages and divide by their standard deviation over the update; needs one whole batch at a time."""

    @model_validator(mode="after")
    def _learns_something(self) -> AwrConfig:
        if not self.use_value_head and self.alpha != 1:
            raise ValueError("use_value_head: false goes with alpha: 1 only, since nothing is left to learn a value")
        return self
