"""What both models are built with: frames as the data has them, and weights from a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from omnitrain.api import Context
from omnitrain.errors import UsageError
from omnitrain_vpt.models.network.architecture import Architecture
from omnitrain_vpt.models.official import load_weights


def fitting(architecture: Architecture, context: Context, image_size: int | None) -> Architecture:
    """Set the side of the frames; the data's, where it tells one, must be the same.

    Raises UsageError where they differ.
    """
    side = image_size or architecture.image[0]
    told = context.facts.get("image_size")
    if told is not None and told != side:
        raise UsageError(f"The data has frames of {told} pixels, the model reads {side}: set image_size of one to the other's.")
    return replace(architecture, image=(side, side, architecture.image[2]))


def _on_meta() -> bool:
    return torch.empty(0).device.type == "meta"


def load(model: nn.Module, weights: str | None) -> None:
    """Load weights, unless only shapes are asked for (a dry run)."""
    if weights is not None and not _on_meta():
        load_weights(model, Path(weights))
