"""Actions of a decision transformer: dimension by dimension, one forward pass for all environments at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnitrain_l2m.models.network import Mddt
from omnitrain_l2m.models.tuned import Tuned
from omnitrain_l2m.paper.episodes import Arrays


@torch.no_grad()
def greedy_actions(model: Mddt | Tuned, window: Arrays, width: int) -> NDArray[Any]:
    """Return the likeliest actions of the last step, float[batch, width], one dimension after the other.

    window: see `History.window`. width: of the widest action of the batch; further dimensions of narrower ones cannot
    influence those before them. Every decoded value is written back, and is cut into the same bin again.
    """
    first = next(model.parameters())
    batch: dict[str, Tensor] = {}
    for name, values in window.items():
        given = torch.from_numpy(np.array(values)).to(first.device)
        batch[name] = given.to(first.dtype) if given.is_floating_point() else given
    for dimension in range(width):
        chosen = model(batch)[:, -1, dimension].argmax(-1)
        batch["actions"][:, -1, dimension] = model.tokeniser.decode(chosen, first.dtype)
    decided: NDArray[Any] = batch["actions"][:, -1, :width].cpu().numpy()
    return decided
