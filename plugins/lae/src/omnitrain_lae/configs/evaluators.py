"""Settings of the evaluator."""

from __future__ import annotations

from omnitrain.api import Config
from omnitrain_lae.configs.limits import Positive


class AccuracyConfig(Config):
    """Accuracy of a classifier, or of every expert of a continually learned model, on one split."""

    split: str = "test"
    """Split to measure on."""
    batch_size: Positive = 256
    """Examples at a time."""
