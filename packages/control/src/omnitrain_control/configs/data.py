"""Settings of data."""

from __future__ import annotations

from pydantic import Field

from omnitrain.api import Config, InputPath


class EpisodesConfig(Config):
    """Recorded episodes as examples of observation and action."""

    path: InputPath = "builtin"
    """A folder that `control/record` or `EpisodeWriter` made; "builtin" is a pole on a cart balanced by a simple rule with
    noise, recorded on first use."""
    best: float = Field(default=1.0, gt=0, le=1)
    """Share of the episodes, those with the highest return, that are kept (filtered cloning)."""
    valid_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the kept episodes that is held out as "valid"."""
