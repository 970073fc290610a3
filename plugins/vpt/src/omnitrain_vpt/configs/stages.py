"""Settings of the stages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseData, UseModel
from omnitrain_vpt.configs.data import PlayConfig, WorldConfig


class RecordConfig(PlayConfig):
    """Record scripted play in the contractor format (mp4, jsonl, options, index)."""

    version: str = Field(default="8.0", pattern=r"^\d+\.\d+$")
    """Recorder version, the folder of the recordings."""
    labelled: bool = True
    """Write the actions; without them the recordings are like web video."""

    def artifacts(self) -> dict[str, UseData]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"data": UseData(use="vpt/recordings")}


class LabelConfig(Config):
    """Label video with an inverse dynamics model, in the same format."""

    data: UseData
    """vpt/recordings; their own labels, if any, are not looked at."""
    model: UseModel
    """The inverse dynamics model."""
    window: int = Field(default=32, ge=1)
    """Frames of a window. Paper: 128."""
    stride: int = Field(default=16, ge=1)
    """Frames between two windows. Paper: 64; each gives its middle."""
    batch_size: int = Field(default=16, ge=1)
    """Windows of one forward pass."""
    other_rates: Literal["leave_out", "resample", "take"] = "leave_out"
    """Video whose frames are not the model's steps, such as 60 a second where it learned from 20: left out with a count; read
    at those steps and written anew; or every frame taken for a step."""
    device: str = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""

    @model_validator(mode="after")
    def _windows_overlap(self) -> LabelConfig:
        if self.stride > self.window:
            raise ValueError(f"stride {self.stride} is above window {self.window}: frames between them would get no label")
        return self

    def artifacts(self) -> dict[str, UseData]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"data": UseData(use="vpt/recordings")}


class CleanConfig(Config):
    """Keep the clean stretches of web video (app. A.3): a classifier of frames, a median filter, long runs."""

    data: UseData
    """vpt/recordings: the video."""
    clean: UseData
    """vpt/recordings: examples of clean frames."""
    other: UseData | None = None
    """vpt/recordings: examples of frames to be left out; null for `data` itself with its frames distorted."""
    frames_per_s: float = Field(default=3.0, gt=0)
    """Frames that are looked at. Paper: 3."""
    median: int = Field(default=7, ge=1)
    """Width of the median filter over the classes, odd. Paper: 7."""
    least_s: float = Field(default=5.0, ge=0)
    """Shortest run that is kept. Paper: 5 s."""
    least_share: float = Field(default=0.8, ge=0, le=1)
    """Videos with a smaller share of clean frames are left out. Paper: 0.8."""
    examples: int = Field(default=400, ge=4)
    """Most frames of each class that the classifier is trained on. Paper: 8800 in all."""
    embedding: InputPath = "statistics"
    """"statistics" of colours and gradients, or the folder or hub name of a CLIP model of transformers."""

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        return {} if self.embedding == "statistics" else {"transformers": "omnitrain-vpt[clip]"}

    @model_validator(mode="after")
    def _odd(self) -> CleanConfig:
        if self.median % 2 == 0:
            raise ValueError(f"median {self.median} must be odd")
        return self

    def artifacts(self) -> dict[str, UseData]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"data": UseData(use="vpt/recordings")}


class RewardConfig(Config):
    """The tiered reward (app. G.1, table): each item pays until its quantity was ever held."""

    items: dict[str, tuple[float, float]] | None = None
    """Item to (quantity that pays, reward of all of it); quantity 0 pays without end, each. null for the paper's table."""


class ReinforceConfig(Config):
    """Reinforcement fine-tuning: phasic policy gradient with a leash to the pretrained policy (section 4.4)."""

    model: UseModel
    """The policy to fine-tune."""
    world: WorldConfig = WorldConfig()
    """Where it plays."""
    reward: RewardConfig = RewardConfig()
    """What pays."""
    iterations: int = Field(default=50, ge=1)
    """Wake phases. Each plays `chunks` chunks in every environment and learns from them."""
    environments: int = Field(default=16, ge=1)
    """Environments played together."""
    processes: int = Field(default=0, ge=0)
    """Processes that they are shared out among; 0 steps them here. The result is the same."""
    chunks: int = Field(default=2, ge=1)
    """Chunks played in every environment in an iteration. Paper: 40 batches of 48 chunks."""
    steps: int = Field(default=32, ge=1)
    """Steps of a chunk. Paper: 128."""
    batch_chunks: int = Field(default=8, ge=1)
    """Chunks of one update. Paper: 48."""
    wake_epochs: int = Field(default=1, ge=1)
    """How often the wake phase goes through its chunks."""
    learning_rate: float = Field(default=2e-5, gt=0)
    """Paper: 2e-5."""
    weight_decay: float = Field(default=0.04, ge=0)
    """Paper: 0.04."""
    clip_norm: float = Field(default=5.0, gt=0)
    """Largest norm of the gradient. Paper: 5."""
    gamma: float = Field(default=0.999, gt=0, le=1)
    """Discount. Paper: 0.999."""
    lam: float = Field(default=0.95, ge=0, le=1)
    """Lambda of the advantages. Paper: 0.95."""
    clip: float = Field(default=0.2, ge=0)
    """Clipping of the policy ratio; 0 for none. Paper: 0.2."""
    value_coefficient: float = Field(default=0.5, ge=0)
    """Weight of the value's loss. Paper: 0.5."""
    wake_value: Literal["head", "trunk"] = "head"
    """What the value's loss trains in the wake phase: its head, so that the policy's features move for the policy only (phasic
    policy gradient with one network; the sleep phase trains the trunk), or the trunk as well. Paper: not known."""
    leash: float = Field(default=0.2, ge=0)
    """Rho, weight of KL(pretrained || policy); 0 switches the leash off. Paper: 0.2."""
    leash_decay: float = Field(default=0.9995, gt=0, le=1)
    """Rho is multiplied by it after every iteration. Paper: 0.9995."""
    entropy_coefficient: float = Field(default=0.0, ge=0)
    """Weight of an entropy bonus, for runs without a leash. Paper: 0."""
    sleep_every: int = Field(default=2, ge=0)
    """Iterations between sleep phases; 0 for none (with wake_value: trunk, it is plain PPO then). Paper: 2."""
    sleep_epochs: int = Field(default=2, ge=1, le=6)
    """How often a sleep phase goes through the chunks since the last one. Paper: 2 cycles, samples used at most 6 times."""
    sleep_kl: float = Field(default=1.0, ge=0)
    """Weight of KL(policy before the sleep || policy). Paper: 1."""
    keep_value_head: bool = False
    """Go on with the model's value head instead of beginning it anew with output zero. Paper: anew."""
    skip_nonfinite: int = Field(default=10, ge=0)
    """Updates in a row that may be skipped for a NaN or infinite loss or gradient before the stage ends."""
    checkpoint_every: int = Field(default=10, ge=0)
    """Iterations between checkpoints; 0 saves only at a stop."""
    device: str = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""

    def artifacts(self) -> dict[str, UseModel]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"model": self.model}


class PpoConfig(Config):
    """The baseline: Stable-Baselines3's PPO with a memoryless CNN policy, cloned first, then leashed to what was cloned."""

    data: UseData
    """vpt/recordings in the layout "windows": what is cloned before."""
    world: WorldConfig = WorldConfig()
    """Where it plays."""
    reward: RewardConfig = RewardConfig()
    """What pays."""
    image_size: int = Field(default=36, ge=36)
    """Side of the frames; Stable-Baselines3's CNN needs 36."""
    cloning_steps: int = Field(default=200, ge=0)
    """Updates of cloning before."""
    cloning_batch: int = Field(default=8, ge=1)
    """Windows of one of them."""
    cloning_rate: float = Field(default=1e-3, gt=0)
    """Their learning rate."""
    iterations: int = Field(default=20, ge=1)
    """Rollouts."""
    environments: int = Field(default=8, ge=1)
    """Environments played together."""
    processes: int = Field(default=0, ge=0)
    """Processes that they are shared out among; 0 steps them here."""
    steps: int = Field(default=64, ge=2)
    """Steps of a rollout in every environment."""
    batch_size: int = Field(default=128, ge=2)
    """Steps of one update."""
    epochs: int = Field(default=2, ge=1)
    """How often a rollout is gone through."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Of PPO."""
    leash: float = Field(default=0.2, ge=0)
    """Rho, weight of KL(cloned || policy); 0 switches it off."""
    leash_decay: float = Field(default=0.9995, gt=0, le=1)
    """Rho is multiplied by it after every rollout."""
    checkpoint_every: int = Field(default=10, ge=0)
    """Rollouts between checkpoints; 0 saves only at a stop."""
    skip_nonfinite: int = Field(default=10, ge=0)
    """Updates in a row that may be left out for a NaN or infinite gradient before the stage ends."""

    def artifacts(self) -> dict[str, str]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"policy": "weights"}
