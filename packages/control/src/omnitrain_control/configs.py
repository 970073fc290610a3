"""Settings of this package's components. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from omnitrain.api import Config, UseModel


class EnvironmentConfig(Config):
    """A registered gymnasium environment."""

    id: str = "CartPole-v1"
    """Its registered name."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments that it is made with."""
    count: int = Field(default=8, ge=1)
    """How many are stepped together."""
    processes: int = Field(default=0, ge=0)
    """Processes that they are shared out among; 0 steps them in this one. The result is the same."""


class EpisodesConfig(Config):
    """Recorded episodes as examples of observation and action."""

    path: str = "builtin"
    """A folder that `control/record` or `EpisodeWriter` made; "builtin" is a pole on a cart balanced by a simple rule with
    noise, recorded on first use."""
    best: float = Field(default=1.0, gt=0, le=1)
    """Share of the episodes, those with the highest return, that are kept (filtered cloning)."""
    valid_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the kept episodes that is held out as "valid"."""


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


class CloningConfig(Config):
    """Negative log-likelihood of the recorded actions, summed over steps and choices."""


class RolloutsConfig(Config):
    """Play episodes with the model and report returns."""

    environment: EnvironmentConfig = EnvironmentConfig()
    """Where it plays."""
    episodes: int = Field(default=20, ge=1)
    """How many episodes."""
    greedy: bool = True
    """Take the likeliest action instead of drawing one."""


class RecordConfig(Config):
    """Record episodes of a player."""

    environment: EnvironmentConfig = EnvironmentConfig()
    """Where it plays."""
    episodes: int = Field(default=200, ge=1)
    """How many episodes."""
    player: UseModel | None = None
    """Who plays; null for uniformly random actions."""
    noise: float = Field(default=0.0, ge=0, le=1)
    """Probability of a uniformly random action in place of the player's."""
