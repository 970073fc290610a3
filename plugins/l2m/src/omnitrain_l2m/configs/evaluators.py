"""Settings of evaluators."""

from __future__ import annotations

from pydantic import Field

from omnitrain.api import Config


class CrossEntropyConfig(Config):
    """Cross entropy and accuracy of actions on held-out windows, task by task, with the modulators and without."""

    split: str = "valid"
    """Kind of split: train or valid."""
    batch_size: int = Field(default=256, ge=1)
    """Windows at a time."""
