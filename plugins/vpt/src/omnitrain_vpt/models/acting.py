"""Acting: one frame at a time for many environments, with a memory of fixed size."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnitrain.errors import NumericalError
from omnitrain_control.rollouts import Decision
from omnitrain_vpt.models.network.blocks import State
from omnitrain_vpt.models.network.heads import drawn, log_prob
from omnitrain_vpt.models.network.policy import MinecraftPolicy
from omnitrain_vpt.paper.actions import CAMERA, to_factored
from omnitrain_vpt.paper.minecraft import BUTTONS, ENVIRONMENT_BUTTONS


def environment_actions(buttons: NDArray[np.int64], camera: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return the environment's actions of joint indices int64[n]; ESC, pickItem and swapHands are never pressed."""
    factored, bins = to_factored(buttons, camera)
    degrees = CAMERA.decode(bins)
    rest = dict.fromkeys(ENVIRONMENT_BUTTONS, 0)
    pressed = ({name: int(on) for name, on in zip(BUTTONS, row, strict=True)} for row in factored)
    return [{**rest, **row, "camera": angles} for row, angles in zip(pressed, degrees, strict=True)]


class PolicyActor:
    """Plays a policy in n environments; actions are always drawn, since the likeliest ones get stuck.

    generator: of the draws, on the CPU. keep: also keep log-probabilities and values of every step, for training.
    """

    def __init__(self, policy: MinecraftPolicy, count: int, generator: torch.Generator, keep: bool = False) -> None:
        self.policy, self.generator, self.keep = policy, generator, keep
        self.state: State = policy.initial_state(count)

    @torch.no_grad()
    def act(self, observations: NDArray[Any], first: NDArray[np.bool_]) -> Decision:
        """Decide for frames uint8[n, height, width, 3]; rows that begin an episode forget their memory.

        Raises NumericalError for a policy whose probabilities are not finite: what it did would be an artefact.
        """
        device = self.state["mask"].device
        img = torch.from_numpy(observations).to(device)[:, None]
        output = self.policy(img, torch.from_numpy(first).to(device), self.state)
        self.state = output.state
        if not all(bool(values.isfinite().all()) for values in output.log_probs.values()):
            raise NumericalError("The policy's probabilities are not finite: its training diverged; lower the learning rate.")
        chosen = drawn(output.log_probs, self.generator)
        buttons, camera = (chosen[name][:, 0, 0].cpu().numpy() for name in ("buttons", "camera"))
        kept: dict[str, NDArray[Any]] = {"joint_buttons": buttons, "joint_camera": camera}
        if self.keep:
            values = self.policy.value_head.normalizer.denormalise(output.value)
            kept["log_prob"] = log_prob(output.log_probs, chosen)[:, 0].cpu().numpy()
            kept["value"] = values[:, 0, 0].cpu().numpy()
        return Decision(environment_actions(buttons, camera), kept)

    @torch.no_grad()
    def value_of(self, observations: NDArray[Any], first: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the values float64[n] of frames without going on: the memory stays as it is."""
        device = self.state["mask"].device
        img = torch.from_numpy(observations).to(device)[:, None]
        output = self.policy(img, torch.from_numpy(first).to(device), self.state)
        values: Tensor = self.policy.value_head.normalizer.denormalise(output.value)
        return values[:, 0, 0].double().cpu().numpy()
