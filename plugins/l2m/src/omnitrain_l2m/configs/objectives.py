"""Settings of objectives."""

from __future__ import annotations

from omnitrain.api import Config


class ActionsConfig(Config):
    """Cross entropy of the bins of every real action dimension of every real step, and the pull of keys to queries."""
