"""Objective `control/cloning`."""

from __future__ import annotations

from torch import nn

from omnitrain.api import Batch, Context, Fields, Loss
from omnitrain_control.configs.objectives import CloningConfig

NEEDS: Fields = {"observations": "float32[batch, observation]", "actions": "int64[batch, choices]"}


class Cloning:
    """Negative log-likelihood of the recorded actions; the weight is the number of steps."""

    needs = NEEDS

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the sum over steps and choices."""
        logits = model(batch["observations"])
        total = nn.functional.cross_entropy(logits.flatten(0, 1), batch["actions"].flatten(), reduction="sum")
        return Loss(total, float(len(batch["actions"])))


def build_cloning(config: CloningConfig, context: Context) -> Cloning:
    """Make the objective `control/cloning`."""
    return Cloning()
