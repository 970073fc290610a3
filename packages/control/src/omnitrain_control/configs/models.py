"""Settings of models."""

from __future__ import annotations

from pydantic import Field

from omnitrain.api import Config


class MlpConfig(Config):
    """A perceptron that reads a vector and gives logits for every choice."""

    width: int = Field(default=64, ge=1)
    """Units of each hidden layer."""
    layers: int = Field(default=2, ge=1)
    """Hidden layers."""
    observation_size: int | None = Field(default=None, ge=1)
    """Numbers of an observation; null for the data's."""
    choices: int | None = Field(default=None, ge=1)
    """Independent choices of an action; null for the data's."""
    classes: int | None = Field(default=None, ge=1)
    """Classes of each choice; null for the data's."""
