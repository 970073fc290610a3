"""Learning rates over a task; the shipped settings of the paper keep them constant."""

from __future__ import annotations

import math
from typing import Literal

ScheduleName = Literal["constant", "linear", "cosine", "cosine_pi"]


def learning_rate_at(step: int, steps: int, base: float, name: ScheduleName = "constant", floor: float = 0.0) -> float:
    """Return the rate of step 0, 1, ..., steps: base * (floor + (1 - floor) * f(step / steps)).

    f(u) is 1 - u for linear, cos(pi u / 2) for cosine, (1 + cos(pi u)) / 2 for cosine_pi. Beyond `steps` the last
    value holds. floor: the official code's scale_min.
    """
    if name == "constant":
        return base
    u = min(step / max(steps, 1), 1.0)
    fall = {"linear": 1.0 - u, "cosine": math.cos(math.pi * u / 2), "cosine_pi": (1.0 + math.cos(math.pi * u)) / 2}[name]
    return base * (floor + (1.0 - floor) * fall)


def scaled_learning_rate(base: float, batch_size: int) -> float:
    """Return base * batch_size / 256, the paper's rule."""
    return base * batch_size / 256
