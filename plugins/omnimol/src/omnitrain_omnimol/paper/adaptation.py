"""Gradient adaptive LoRA: a low-rank change whose scale falls with the square root of the rank and is learned within a box."""

from __future__ import annotations

from math import sqrt
from typing import Literal

from torch import Tensor

Kind = Literal["gal", "rslora", "lora"]
# Half the width of the box of each scalar around its start.
ALPHA_BOX, BETA_BOX, POWER_BOX = 0.1, 0.05, 0.01
POWER = 0.5


def gal_start(alpha: float) -> tuple[float, float, float]:
    """Return where theta = (alpha, beta, power) starts."""
    return alpha, 0.0, POWER


def gal_scale(theta: Tensor, alpha: float, rank: int) -> Tensor:
    """Return s = clamp(alpha) / r^clamp(p) + clamp(beta), a scalar; what is outside its box gets no gradient.

    theta: float[3], the scalars alpha, beta and p. alpha: where the first one started.
    """
    learned, beta, power = theta.unbind()
    learned = learned.clamp(alpha - ALPHA_BOX, alpha + ALPHA_BOX)
    exponent = power.clamp(POWER - POWER_BOX, POWER + POWER_BOX)
    return learned / rank**exponent + beta.clamp(-BETA_BOX, BETA_BOX)


def fixed_scale(kind: Kind, alpha: float, rank: int) -> float:
    """Return the scale of LoRA (alpha/r) or of rank-stabilised LoRA (alpha/sqrt(r), where the adaptive one starts)."""
    return alpha / rank if kind == "lora" else alpha / sqrt(rank)
