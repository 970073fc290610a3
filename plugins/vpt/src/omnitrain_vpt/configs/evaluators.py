"""Settings of the evaluators."""

from __future__ import annotations

from pydantic import Field

from omnitrain.api import Config
from omnitrain_vpt.configs.data import WorldConfig


class ActionsConfig(Config):
    """Predicted against recorded actions: accuracy, precision, recall and F1 per key, camera R2, beside "always null"."""

    split: str = "valid"
    """Split to measure on."""
    max_clips: int = Field(default=64, ge=1)
    """Most clips."""
    stride: int | None = Field(default=None, ge=1)
    """Steps between windows; null for half a window."""


class LikelihoodConfig(Config):
    """Held-out negative log-likelihood of a policy, null actions left out, memory carried through every clip."""

    split: str = "valid"
    """Split to measure on."""
    max_clips: int = Field(default=64, ge=1)
    """Most clips."""


class EpisodesConfig(Config):
    """Episodes played by the policy: achievement rates with Wilson intervals, items, video of the best and the median."""

    world: WorldConfig = WorldConfig()
    """Where it plays; unseen worlds have other numbers than those that were recorded."""
    episodes: int = Field(default=32, ge=1)
    """How many episodes. Paper: about 2500."""
    count: int = Field(default=16, ge=1)
    """Environments stepped together."""
    processes: int = Field(default=0, ge=0)
    """Processes that they are shared out among; 0 steps them here. The result is the same."""
    video: bool = True
    """Film the best and the median episode (they are played once more with the same actions)."""
