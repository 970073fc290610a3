"""Settings of the stage."""

from __future__ import annotations

from omnitrain.api import Config, UseModel


class ComposeConfig(Config):
    """Put models together, check that they fit, and save the composition as one model."""

    model: UseModel
    """The composition."""
