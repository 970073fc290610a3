"""Settings of stages."""

from __future__ import annotations

from pydantic import Field

from omnitrain.api import Config, UseData, UseModel
from omnitrain_control.configs.environments import EnvironmentConfig


class RecordConfig(Config):
    """Record episodes of a player."""

    environment: EnvironmentConfig = EnvironmentConfig()
    """Where it plays; by default the game that the player was made for."""
    episodes: int = Field(default=200, ge=1)
    """How many episodes."""
    player: UseModel | None = None
    """Who plays; null for uniformly random actions."""
    noise: float = Field(default=0.0, ge=0, le=1)
    """Probability of a uniformly random action in place of the player's."""

    def artifacts(self) -> dict[str, UseData]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"data": UseData(use="control/episodes")}
