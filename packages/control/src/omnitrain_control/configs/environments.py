"""Settings of environments, which evaluators and stages share."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from omnitrain.api import Config, InputModule


class EnvironmentConfig(Config):
    """A registered gymnasium environment."""

    id: InputModule = "CartPole-v1"
    """Its registered name."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments that it is made with."""
    count: int = Field(default=8, ge=1)
    """How many are stepped together."""
    processes: int = Field(default=0, ge=0)
    """Processes that they are shared out among; 0 steps them in this one. The result is the same."""
