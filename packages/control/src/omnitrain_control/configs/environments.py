"""Settings of environments, which evaluators and stages share."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from omnitrain.api import Config, InputModule


class EnvironmentConfig(Config):
    """A registered gymnasium environment."""

    id: InputModule | None = None
    """Its registered name; "module:Name-v0" imports the module first, which registers it. null for the game that the player,
    the model or the data was recorded in."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments that it is made with."""
    steps: int | None = Field(default=None, ge=1)
    """Most steps of an episode, which then ends as one that was cut; null for the environment's own limit."""
    count: int = Field(default=8, ge=1)
    """How many are stepped together."""
    processes: int = Field(default=0, ge=0)
    """Processes that they are shared out among; 0 steps them in this one. The result is the same."""
