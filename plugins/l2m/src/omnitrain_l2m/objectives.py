"""Objective `l2m/actions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from omnitrain.api import Auxiliary, Batch, Context, Fields, Loss, Part
from omnitrain_l2m.configs.objectives import ActionsConfig

NEEDS: Fields = {
    "observations": "float32",
    "actions": "float32",
    "action_mask": "bool",
    "rewards": "float32",
    "returns_to_go": "float32",
    "timesteps": "int64",
    "attention_mask": "bool",
}


def action_counts(batch: Batch) -> Tensor:
    """Return which actions count, bool[batch, steps, dimensions]: real dimensions of real steps."""
    found: Tensor = batch["action_mask"] & batch["attention_mask"][..., None]
    return found


def action_losses(logits: Tensor, batch: Batch, tokeniser: Any) -> tuple[Tensor, Tensor]:
    """Return (cross entropies, whether the likeliest bin is right) of the actions that count, both [actions]."""
    real = action_counts(batch)
    tokens = tokeniser.tokenise(batch["actions"])[real]
    chosen = logits[real]
    return F.cross_entropy(chosen, tokens, reduction="none"), chosen.argmax(-1) == tokens


class Actions:
    """The sum of cross entropies over actions. For a model with keys, less `pull` times the mean similarity over examples of
    query and chosen key; its counts take note of every batch of training.
    """

    needs = NEEDS

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss; its weight is the number of actions."""
        logits = model(batch)
        inner: Any = getattr(model, "module", model)
        losses, right = action_losses(logits, batch, inner.tokeniser)
        count = float(losses.numel())
        parts = {"accuracy": Part(right.sum(), count)}
        pulled = getattr(inner, "pulled", None)
        if pulled is None:
            return Loss(losses.sum(), count, parts)
        if model.training:
            inner.count()
        examples = float(len(pulled))
        parts["similarity"] = Part(pulled.detach().sum(), examples)
        return Loss(losses.sum(), count, parts, {"pull": Auxiliary(pulled.sum(), examples, -inner.pull)})

    def weights(self, batch: Batch) -> Mapping[str, float]:
        """Tell the weights before the forward pass; see `Weighs`."""
        real = action_counts(batch)
        return {"": float(real.sum()), "pull": float(len(real))}


def build(config: ActionsConfig, context: Context) -> Actions:
    """Make the objective `l2m/actions`."""
    return Actions()
