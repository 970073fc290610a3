"""Model `vpt/policy`: the causal policy with a memory (section 4.2)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from omnitrain.api import Context
from omnitrain_vpt.configs.models import PolicyConfig
from omnitrain_vpt.models.fitting import fitting, load
from omnitrain_vpt.models.network.architecture import POLICIES, Architecture
from omnitrain_vpt.models.network.policy import MinecraftPolicy
from omnitrain_vpt.models.official import read_model_file


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


def build(config: PolicyConfig, context: Context) -> MinecraftPolicy:
    """Make the model `vpt/policy`.

    Raises UsageError where the frames' size is another than the data's, DataError for files that can't be used.
    """
    architecture, temperature = policy_architecture(config)
    model = MinecraftPolicy(fitting(architecture, context, config.image_size), temperature)
    load(model, config.weights)
    return model
