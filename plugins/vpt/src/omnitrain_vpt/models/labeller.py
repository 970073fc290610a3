"""What an inverse dynamics model says of video: each frame once, from windows (app. D.2)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnitrain_vpt.models.network.policy import InverseDynamics
from omnitrain_vpt.paper.actions import CAMERA_BINS
from omnitrain_vpt.paper.minecraft import BUTTONS
from omnitrain_vpt.paper.windows import plan_windows

Actions = tuple[NDArray[np.uint8], NDArray[np.int64]]


class Labeller:
    """What evaluators and `vpt/label` ask an inverse dynamics model for."""

    def __init__(self, model: InverseDynamics) -> None:
        self.model = model

    @torch.no_grad()
    def log_probs(self, frames: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return log-probabilities of (buttons [batch, time, 20, 2], camera bins [batch, time, 2, 11]) of windows.

        frames: uint8[batch, time, height, width, 3].
        """
        found = self.model(frames.to(next(self.model.parameters()).device))
        buttons, camera = (found[name].float().cpu().numpy() for name in ("buttons", "camera"))
        return buttons, camera


def action_log_probs(
    labeller: Labeller, frames: NDArray[np.uint8], window: int = 128, stride: int = 64, batch_size: int = 16
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return log-probabilities of (buttons [n, 20, 2], camera bins [n, 2, 11]) of a clip's frames uint8[n, size, size, 3].

    Every frame is labelled once, by the window in whose middle it lies most. A clip shorter than a window is filled up with
    its last frame; what is labelled there is thrown away.
    """
    plan = plan_windows(len(frames), window, stride)
    padded = frames
    if len(frames) < window:
        padded = np.concatenate([frames, np.repeat(frames[-1:], window - len(frames), 0)])
    buttons = np.zeros((len(frames), len(BUTTONS), 2), np.float32)
    camera = np.zeros((len(frames), 2, CAMERA_BINS), np.float32)
    for begin in range(0, len(plan.starts), batch_size):
        starts = plan.starts[begin : begin + batch_size]
        batch = torch.from_numpy(np.stack([padded[s : s + window] for s in starts]))
        for number, found in enumerate(zip(*labeller.log_probs(batch), strict=True), begin):
            own = np.flatnonzero(plan.owner == number)
            buttons[own], camera[own] = (part[own - plan.starts[number]] for part in found)
    return buttons, camera


def label_frames(
    labeller: Labeller, frames: NDArray[np.uint8], window: int = 128, stride: int = 64, batch_size: int = 16
) -> Actions:
    """Return the likeliest (buttons uint8[n, 20], camera bins int64[n, 2]) of a clip's frames, see `action_log_probs`."""
    buttons, camera = action_log_probs(labeller, frames, window, stride, batch_size)
    return buttons.argmax(-1).astype(np.uint8), camera.argmax(-1)
