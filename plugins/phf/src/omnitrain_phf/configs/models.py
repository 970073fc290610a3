"""Settings of the model. Light: imports only omnitrain.api, pydantic and other settings."""

from __future__ import annotations

from omnitrain.api import Config
from omnitrain_language.configs.models import CausalConfig


class ValueHeadConfig(Config):
    """A linear head on the last hidden state that predicts the reward."""

    sigmoid: bool = True
    """V = -sigmoid(w . h), in (-1, 0); without it V = w . h."""
    detached: bool = False
    """The value loss does not reach the language model."""


class CausalWithValuesConfig(CausalConfig):
    """A causal language model with rows for control tokens and an optional value head."""

    value_head: ValueHeadConfig | None = None
    """Needed by phf/awr; nothing means none."""
