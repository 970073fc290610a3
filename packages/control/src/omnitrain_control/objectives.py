"""Objective `control/cloning`."""

from __future__ import annotations

from torch import nn

from omnitrain.api import Batch, Context, Fields, Loss
from omnitrain.errors import UsageError
from omnitrain_control.configs.objectives import CloningConfig

NEEDS: Fields = {"observations": "float32[batch, observation]", "actions": "int64[batch, choices]"}


class Cloning:
    """Negative log-likelihood of the recorded actions; the weight is the number of steps.

    classes: of each choice in the data, None where it does not tell.
    """

    needs = NEEDS

    def __init__(self, classes: int | None = None) -> None:
        self.classes = classes

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the sum over steps and choices.

        Raises UsageError for a model with other choices than the data.
        """
        logits = model(batch["observations"])
        wanted = (*batch["actions"].shape, self.classes or logits.shape[-1])
        if logits.shape != wanted:
            raise UsageError(
                f"control/cloning: the model gives logits {list(logits.shape)} (steps, choices, classes), the data needs "
                f"{list(wanted)}: use a model that is made for this data."
            )
        total = nn.functional.cross_entropy(logits.flatten(0, 1), batch["actions"].flatten(), reduction="sum")
        return Loss(total, float(len(batch["actions"])))


def build_cloning(config: CloningConfig, context: Context) -> Cloning:
    """Make the objective `control/cloning`."""
    return Cloning(context.facts.get("classes"))
