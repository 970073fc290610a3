"""Where metrics go besides the run directory: TensorBoard, Weights & Biases, MLflow, or a tracker of your own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Takes the metrics of one stage while it runs."""

    def log(self, step: int, values: Mapping[str, float], split: str) -> None:
        """Take the numbers of a step; after a resume a step may come again."""

    def close(self) -> None:
        """Write what is open; the stage has ended or was stopped."""


class OpensTracker(Protocol):
    """What an entry point of the group `omnitrain.trackers` names."""

    def __call__(self, directory: Path, stage: str, settings: Mapping[str, Any], /) -> Tracker:
        """Open a tracker.

        directory: the run directory. stage: "train", or "train/cloning" for a part of a stage. settings: of the stage, with
        every default, and the run's seed and recipe.
        """
