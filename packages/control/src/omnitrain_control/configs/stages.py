"""Settings of stages."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, UseData, UseModel
from omnitrain_control.configs.environments import EnvironmentConfig


class RecordConfig(Config):
    """Record episodes of a player."""

    environment: EnvironmentConfig = EnvironmentConfig()
    """Where it plays; by default the game that the player was made for."""
    episodes: int = Field(default=200, ge=1)
    """How many episodes."""
    player: UseModel | None = None
    """Who plays; null for uniformly random actions."""
    noise: float = Field(default=0.0, ge=0, le=1)
    """Probability of a uniformly random action in place of the player's."""

    def artifacts(self) -> dict[str, UseData]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"data": UseData(use="control/episodes")}


class Sb3Config(Config):
    """Train PPO, SAC, TD3 or DQN of Stable-Baselines3, then measure its policy."""

    algorithm: Literal["PPO", "SAC", "TD3", "DQN"]
    """Which one. DQN takes Discrete actions, SAC and TD3 a Box, PPO both and MultiDiscrete and MultiBinary."""
    environment: EnvironmentConfig = EnvironmentConfig()
    """Where it learns: `id` must be set; `count` environments are its "n_envs"."""
    policy: Literal["MlpPolicy", "CnnPolicy", "MultiInputPolicy"] = "MlpPolicy"
    """For vectors (and everything flattened), for pictures, for a Dict of both."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the algorithm, under its own names and with its own defaults. `learning_rate` and `clip_range` may
    be {linear: number}, which falls to 0; `action_noise` is {normal: deviation} or {ornstein_uhlenbeck: deviation};
    `activation_fn` of `policy_kwargs` is a name in torch.nn."""
    steps: int = Field(default=10_000, ge=1)
    """Steps of all environments together; the rollout that reaches it is finished."""
    start: UseModel | None = None
    """A policy of the same shape to begin with, {from: stage} or control/sb3 with a path; null for new weights."""
    episodes: int = Field(default=20, ge=0)
    """Episodes that are played at the end, with the likeliest actions; 0 for none."""
    film: bool = True
    """Show one of them in the report, where the environment can be drawn."""
    log_every: int = Field(default=1000, ge=1)
    """Steps between lines of metrics; an algorithm that learns from rollouts has one a rollout at most."""
    checkpoint_every: int = Field(default=10_000, ge=0)
    """Steps between checkpoints, which hold the replay too; 0 saves only at a stop and at the end."""
    skip_nonfinite: int = Field(default=10, ge=0)
    """Updates in a row that may be left out for a NaN or infinite gradient before the stage ends."""
    keep_replay: bool = False
    """Leave the replay of SAC, TD3 or DQN as data for control/trajectories, {from: stage/replay}; continuous actions are scaled
    to -1 to 1 in it."""
    device: str = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""

    @model_validator(mode="after")
    def _has_replay(self) -> Sb3Config:
        if self.keep_replay and self.algorithm == "PPO":
            raise ValueError(
                "keep_replay: PPO forgets each rollout after learning from it; record its policy with control/record"
            )
        return self

    def artifacts(self) -> dict[str, UseModel | UseData]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        model = UseModel.model_validate({"use": "control/sb3", "algorithm": self.algorithm, "policy": self.policy})
        if not self.keep_replay:
            return {"model": model}
        return {"model": model, "replay": UseData.model_validate({"use": "control/trajectories", **self.replay_settings()})}

    def replay_settings(self) -> dict[str, Any]:
        """Return how control/trajectories reads the replay: DQN's actions are whole numbers, the others' from -1 to 1."""
        return {} if self.algorithm == "DQN" else {"actions": "numbers", "action_range": [-1.0, 1.0]}
