"""Walls between networks that are trained by losses of their own: what a step moved, as a test can assert it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def touched(step: Callable[[], Any], networks: Mapping[str, nn.Module]) -> list[str]:
    """Take a step and return the names of the networks that it changed or left a gradient in.

    assert touched(lambda: updates.actor_step(batch), {"actor": actor, "critic": critic}) == ["actor"]
    """
    from omnitrain.engine import weights_digest

    before = {name: weights_digest(network) for name, network in networks.items()}
    step()
    return [
        name
        for name, network in networks.items()
        if weights_digest(network) != before[name] or any(p.grad is not None for p in network.parameters())
    ]
