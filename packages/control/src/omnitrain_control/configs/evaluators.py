"""Settings of evaluators."""

from __future__ import annotations

from pydantic import Field

from omnitrain.api import Config
from omnitrain_control.configs.environments import EnvironmentConfig


class RolloutsConfig(Config):
    """Play episodes with the model and report returns."""

    environment: EnvironmentConfig = EnvironmentConfig()
    """Where it plays; by default the game in which the data, or what the model learned from, was recorded. Another one must be
    named, and have the same observations and actions."""
    episodes: int = Field(default=20, ge=1)
    """How many episodes."""
    greedy: bool = True
    """Take the likeliest action instead of drawing one."""
