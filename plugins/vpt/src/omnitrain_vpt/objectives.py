"""Objectives `vpt/cloning` (policy, streams) and `vpt/inverse` (IDM, windows)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import Batch, Context, Fields, Loss, Part
from omnitrain.engine import unwrap
from omnitrain_vpt.configs.objectives import CloningConfig, InverseConfig
from omnitrain_vpt.models.network.blocks import State
from omnitrain_vpt.models.network.heads import LogProbs, log_prob

STREAM_NEEDS: Fields = {
    "frames": "uint8[batch, time, height, width, 3]",
    "loss_weights": "float32[batch, time]",
    "first": "bool[batch]",
    "joint_buttons": "int64[batch, time, 1]",
    "joint_camera": "int64[batch, time, 1]",
}
WINDOW_NEEDS: Fields = {
    "frames": "uint8[batch, time, height, width, 3]",
    "loss_weights": "float32[batch, time]",
    "buttons": "int64[batch, time, 20]",
    "camera": "int64[batch, time, 2]",
}


def joint_actions(batch: Batch) -> dict[str, Tensor]:
    """Return the joint actions of a batch by head."""
    return {"buttons": batch["joint_buttons"], "camera": batch["joint_camera"]}


class Cloning:
    """-log pi(a) summed over the frames of chunks; the weight is their number.

    The memory goes from chunk to chunk without gradient; a row forgets it where `first` says that a clip begins.
    """

    needs = STREAM_NEEDS

    def initial_state(self, model: nn.Module, batch: Batch) -> State:
        """Return an empty memory for the rows of the batch."""
        state: State = unwrap(model).initial_state(len(batch["frames"]))  # type: ignore[operator]
        return state

    def step(self, model: nn.Module, batch: Batch, state: State) -> tuple[Loss, State]:
        """Return the loss of a chunk and the memory after it."""
        output = model(batch["frames"], batch["first"], state)
        return self._loss(output.log_probs, batch), output.state

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss of a chunk with an empty memory."""
        return self.step(model, batch, self.initial_state(model, batch))[0]

    def _loss(self, log_probs: LogProbs, batch: Batch) -> Loss:
        weights = batch["loss_weights"].to(log_probs["buttons"].dtype)
        actions = joint_actions(batch)
        total = -(log_prob(log_probs, actions) * weights).sum()
        parts = {}
        for name, values in log_probs.items():
            own = -(log_prob({name: values.detach()}, actions) * weights).sum()
            parts[f"{name}_nll"] = Part(own, weights.sum())
        return Loss(total, weights.sum(), parts)


class Inverse:
    """-log p(a) of every button and camera axis, summed, per frame; the weight is the number of frames."""

    needs = WINDOW_NEEDS

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss of windows."""
        log_probs = model(batch["frames"])
        actions = {"buttons": batch["buttons"], "camera": batch["camera"]}
        weights = batch["loss_weights"].to(log_probs["buttons"].dtype)
        total = -(log_prob(log_probs, actions) * weights).sum()
        with torch.no_grad():
            exact = torch.ones_like(weights)
            for name, values in log_probs.items():
                exact = exact * (values.argmax(-1) == actions[name]).all(-1)
        return Loss(total, weights.sum(), {"error": Part(((1 - exact) * weights).sum(), weights.sum())})


def build_cloning(config: CloningConfig, context: Context) -> Cloning:
    """Make the objective `vpt/cloning`."""
    return Cloning()


def build_inverse(config: InverseConfig, context: Context) -> Any:
    """Make the objective `vpt/inverse`."""
    return Inverse()
