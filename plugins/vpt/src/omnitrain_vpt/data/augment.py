"""Random colours and small movements of whole windows (app. D.1): one draw per window, the same for all its frames."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from omnitrain_vpt.configs.data import AugmentConfig

_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], dtype=torch.float32)
_GREY = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float32)
_SHIFT_WIDTH = 128


def colour_matrix(hue: float, saturation: float) -> Tensor:
    """Return float32[3, 3] that turns the hue by a share of the circle and scales the saturation."""
    turn = 2 * math.pi * hue
    rotation = torch.tensor(
        [
            [1.0, 0.0, 0.0],
            [0.0, saturation * math.cos(turn), -saturation * math.sin(turn)],
            [0.0, saturation * math.sin(turn), saturation * math.cos(turn)],
        ]
    )
    matrix: Tensor = torch.linalg.inv(_YIQ) @ rotation @ _YIQ
    return matrix


def affine(rotation: float, scale: float, shear: float, shift: tuple[float, float]) -> Tensor:
    """Return float32[2, 3] for `affine_grid`. Degrees; shift as a share of the width."""
    angle, slant = math.radians(rotation), math.tan(math.radians(shear))
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn @ torch.tensor([[1.0, slant], [0.0, 1.0]]) / scale
    return torch.cat([matrix, torch.tensor([[2 * shift[0]], [2 * shift[1]]])], 1)


def augmented(frames: NDArray[np.uint8], config: AugmentConfig, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return a changed window uint8[time, height, width, 3]; one draw for all frames."""
    draw = generator.uniform

    def around(width: float) -> float:
        return float(draw(1 - width, 1 + width))

    hue = float(draw(-config.hue, config.hue))
    saturation, brightness, contrast = around(config.saturation), around(config.brightness), around(config.contrast)
    rotation, shear = float(draw(-config.rotation, config.rotation)), float(draw(-config.shear, config.shear))
    scale = around(config.scale)
    shift = (float(draw(-1, 1)) * config.shift / _SHIFT_WIDTH, float(draw(-1, 1)) * config.shift / _SHIFT_WIDTH)
    x = torch.from_numpy(np.ascontiguousarray(frames)).float() / 255.0
    x = x @ colour_matrix(hue, saturation).float().T * brightness
    grey = (x @ _GREY).mean()
    x = ((x - grey) * contrast + grey).permute(0, 3, 1, 2)
    theta = affine(rotation, scale, shear, shift).float().expand(len(x), -1, -1)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    out: NDArray[np.uint8] = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return out
