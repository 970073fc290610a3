"""Settings of the objectives."""

from __future__ import annotations

from omnitrain.api import Config


class CloningConfig(Config):
    """Negative log-likelihood of the joint actions of streams, memory carried from chunk to chunk, gradients cut."""


class InverseConfig(Config):
    """Negative log-likelihood of the 20 buttons and 2 camera axes of windows, summed over them, per frame."""
