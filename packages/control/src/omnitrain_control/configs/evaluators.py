"""Settings of evaluators."""

from __future__ import annotations

from pydantic import Field

from omnitrain.api import Config
from omnitrain_control.configs.environments import EnvironmentConfig


class RolloutsConfig(Config):
    """Play episodes with the model and report returns."""

    environment: EnvironmentConfig = EnvironmentConfig()
    """Where it plays."""
    episodes: int = Field(default=20, ge=1)
    """How many episodes."""
    greedy: bool = True
    """Take the likeliest action instead of drawing one."""
