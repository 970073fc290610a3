"""Settings of the stage."""

from __future__ import annotations

from omnitrain.api import Config, UseModel


class ComposeConfig(Config):
    """Put models together, check that they fit, and save the composition as one model."""

    model: UseModel
    """The composition."""

    def artifacts(self) -> dict[str, UseModel]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"model": self.model}
