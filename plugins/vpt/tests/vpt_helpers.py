"""Lines and frames for tests."""

import numpy as np
import torch

from omnitrain_vpt.network.architecture import Architecture
from omnitrain_vpt.network.policy import MinecraftPolicy


def line(keys=(), buttons=(), dx=0.0, dy=0.0, **others):
    """A line as recorders write it, with only the fields that may be relied on."""
    mouse = {"x": 640.0, "y": 360.0, "dx": dx, "dy": dy, "buttons": list(buttons), "newButtons": []}
    keyboard = {"keys": [f"key.keyboard.{key}" for key in keys], "newKeys": [], "chars": ""}
    return {"mouse": mouse, "keyboard": keyboard, "isGuiOpen": False, "hotbar": 0, "tick": 0, "milli": 0, **others}


def numbered_frames(count, size=32):
    """Frames that tell their number by their brightness, in steps of 4."""
    return np.stack([np.full((size, size, 3), 4 * number % 240 + 8, np.uint8) for number in range(count)])


def small_policy(memory=128, timesteps=128, heads=None):
    architecture = Architecture(
        (8, 8, 3), (2, 3), hidsize=8, heads=2, blocks=2, ratio=2, memory_size=memory + timesteps, timesteps=timesteps
    )
    torch.manual_seed(0)
    return MinecraftPolicy(architecture, heads=heads or {"camera": (1, 4), "buttons": (1, 5)}).eval()
