"""Settings of objectives."""

from __future__ import annotations

from omnitrain.api import Config


class CloningConfig(Config):
    """Negative log-likelihood of the recorded actions, summed over steps and choices."""
