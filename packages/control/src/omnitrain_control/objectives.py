"""Objective `control/cloning`."""

from __future__ import annotations

from torch import nn

from omnitrain.api import Batch, Context, Fields, Loss
from omnitrain.errors import UsageError
from omnitrain_control.configs.objectives import CloningConfig

NEEDS: Fields = {"observations": "float32", "actions": "int64", "attention_mask": "bool?", "action_mask": "bool?"}


class Cloning:
    """Negative log-likelihood of the recorded actions; the weight is the number of steps.

    Steps are [batch, ...] or windows [batch, steps, ...]; those that `attention_mask` bool[batch, steps] leaves out, and
    choices that `action_mask` bool[..., choices] leaves out, count for nothing.
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
        actions, steps = batch["actions"], batch.get("attention_mask")
        counted = batch.get("action_mask")
        if steps is None and counted is None:
            total = nn.functional.cross_entropy(logits.flatten(0, -2), actions.flatten(), reduction="sum")
            return Loss(total, float(actions[..., 0].numel()))
        each = nn.functional.cross_entropy(logits.flatten(0, -2), actions.flatten(), reduction="none").view(actions.shape)
        if counted is not None:
            each = each * counted
        if steps is None:
            return Loss(each.sum(), float(actions[..., 0].numel()))
        return Loss((each * steps[..., None]).sum(), float(steps.sum()))


def build_cloning(config: CloningConfig, context: Context) -> Cloning:
    """Make the objective `control/cloning`."""
    return Cloning(context.facts.get("classes"))
