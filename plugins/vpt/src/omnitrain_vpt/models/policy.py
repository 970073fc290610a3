"""Models `vpt/policy` and `vpt/idm`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from omnitrain.api import Context
from omnitrain.errors import UsageError
from omnitrain_vpt.configs.data import IdmConfig, PolicyConfig
from omnitrain_vpt.models.network.architecture import IDMS, POLICIES, Architecture
from omnitrain_vpt.models.network.policy import InverseDynamics, MinecraftPolicy
from omnitrain_vpt.models.official import load_weights, read_model_file


def _fitting(architecture: Architecture, context: Context, image_size: int | None) -> Architecture:
    """Set the side of the frames; the data's, where it tells one, must be the same.

    Raises UsageError where they differ.
    """
    side = image_size or architecture.image[0]
    told = context.facts.get("image_size")
    if told is not None and told != side:
        raise UsageError(f"The data has frames of {told} pixels, the model reads {side}: set image_size of one to the other's.")
    return replace(architecture, image=(side, side, architecture.image[2]))


def policy_architecture(config: PolicyConfig) -> tuple[Architecture, float]:
    """Return a policy's shapes and its temperature."""
    architecture, temperature = POLICIES[config.size], 2.0
    if config.model_file is not None:
        file = read_model_file(Path(config.model_file))
        architecture, temperature = file.architecture, file.temperature
    timesteps = config.timesteps or architecture.timesteps
    memory = config.memory or architecture.maxlen
    gain = config.head_gain or architecture.head_gain
    architecture = replace(architecture, timesteps=timesteps, memory_size=timesteps + memory, head_gain=gain)
    return architecture, config.temperature or temperature


def _on_meta() -> bool:
    return torch.empty(0).device.type == "meta"


def _load(model: nn.Module, weights: str | None) -> None:
    """Load weights, unless only shapes are asked for (a dry run)."""
    if weights is not None and not _on_meta():
        load_weights(model, Path(weights))


def build_policy(config: PolicyConfig, context: Context) -> MinecraftPolicy:
    """Make the model `vpt/policy`.

    Raises UsageError where the frames' size is another than the data's, DataError for files that can't be used.
    """
    architecture, temperature = policy_architecture(config)
    model = MinecraftPolicy(_fitting(architecture, context, config.image_size), temperature)
    _load(model, config.weights)
    return model


def build_idm(config: IdmConfig, context: Context) -> InverseDynamics:
    """Make the model `vpt/idm`.

    Raises UsageError where the frames' size is another than the data's, DataError for files that can't be used.
    """
    architecture = IDMS[config.size]
    if config.model_file is not None:
        architecture = read_model_file(Path(config.model_file)).architecture
    architecture = _fitting(architecture, context, config.image_size)
    architecture = replace(architecture, head_gain=config.head_gain or architecture.head_gain)
    if not config.conv3d:
        architecture = replace(architecture, conv3d=None, image=(*architecture.image[:2], 3))
    elif config.conv3d_spatial == 3 and architecture.conv3d is not None:
        temporal = architecture.conv3d
        wider = replace(temporal, kernel=(temporal.kernel[0], 3, 3), padding=(temporal.padding[0], 1, 1))
        architecture = replace(architecture, conv3d=wider)
    model = InverseDynamics(architecture, config.use_lastlayer, config.causal)
    _load(model, config.weights)
    return model


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


def idm_predictor(model: InverseDynamics, directory: Path, context: Context) -> Labeller:
    """Wrap an inverse dynamics model for evaluators."""
    return Labeller(model)
