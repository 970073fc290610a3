"""Settings of the objective."""

from __future__ import annotations

from omnitrain.api import Config
from omnitrain_lae.configs.limits import Fraction


class CrossEntropyConfig(Config):
    """Cross entropy of a classifier, to pre-train a backbone."""

    label_smoothing: Fraction = 0.0
    """Share of the target's probability that is spread over the classes."""
