"""Settings of models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from omnitrain.api import Config, InputPath
from omnitrain_control.configs.environments import EnvironmentConfig


class MlpConfig(Config):
    """A perceptron that reads a vector and gives logits for every choice."""

    width: int = Field(default=64, ge=1)
    """Units of each hidden layer."""
    layers: int = Field(default=2, ge=1)
    """Hidden layers."""
    observation_size: int | None = Field(default=None, ge=1)
    """Numbers of an observation; null for the data's."""
    choices: int | None = Field(default=None, ge=1)
    """Independent choices of an action; null for the data's."""
    classes: int | None = Field(default=None, ge=1)
    """Classes of each choice; null for the data's."""


class Sb3Config(Config):
    """A policy of Stable-Baselines3: from a zip file, of which only weights and readable settings are taken, or new."""

    path: InputPath | None = None
    """A zip file that `save` of Stable-Baselines3 wrote. Its pickles are not read, so `environment.id` must name the game that
    it was trained in."""
    algorithm: Literal["PPO", "A2C", "SAC", "TD3", "DQN"] | None = None
    """Whose policy it is, TD3 for DDPG's; null for what the file tells."""
    policy: Literal["MlpPolicy", "CnnPolicy", "MultiInputPolicy"] | None = None
    """Which of its policies; null for MultiInputPolicy where observations are a Dict, CnnPolicy where the file has
    convolutions, else MlpPolicy."""
    policy_settings: dict[str, Any] = Field(default_factory=dict)
    """The algorithm's policy_kwargs, such as {net_arch: [64, 64], activation_fn: ReLU}; they replace those of the file."""
    use_sde: bool = False
    """Explore by noise that depends on the state; a file tells it itself."""
    environment: EnvironmentConfig = EnvironmentConfig()
    """The game that it was made for; a policy of a stage brings its own."""


class ScriptedConfig(Config):
    """A scripted policy of Meta-World, which solves its task."""

    task: str = "reach-v3"
    """The task that is played where no environment is named."""
    deviation: float = Field(default=0.0, ge=0)
    """Of normal noise added to each of the four numbers of an action, which are from -1 to 1; none in play without draws."""

    def needs(self) -> dict[str, str]:
        """Return what installs the simulator; see omnitrain.api.TellsNeeds."""
        return {"metaworld": "omnitrain-control[metaworld]"}
