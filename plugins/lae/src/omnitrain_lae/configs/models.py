"""Settings of backbones, tuning methods and what learning leaves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseModel
from omnitrain_lae.configs.limits import Count, Positive


class VisionConfig(Config):
    """A vision backbone of transformers, new or from a folder or the hub; with a classifier where data tells classes."""

    architecture: Literal["vit", "deit", "swin", "convnext"] = "vit"
    """Of a new model."""
    size: Literal["tiny", "mini", "small", "base"] = "mini"
    """Preset of a new model; `base` is ViT-B, DeiT-B, Swin-B or ConvNeXt-B."""
    path: InputPath | None = None
    """Folder or hub name of trained weights; only safetensors are read. The in21k checkpoint of the paper is
    google/vit-base-patch16-224-in21k; one that was fine-tuned on ImageNet-1k is another row of its tables."""
    revision: str | None = None
    """Commit or tag on the hub."""
    image_size: Positive | None = None
    """Height and width of the input; nothing means what the data tells."""
    patch_size: Positive | None = None
    """Side of a patch; nothing means that of the preset (16 for `small` and `base`, a quarter of the image for the others)."""
    attention: Literal["sdpa", "eager"] = "sdpa"
    """How attention is computed."""


class AdapterConfig(Config):
    """Adapter: a bottleneck parallel to the attention sub-layer."""

    rank: Positive = 5
    """Width of the bottleneck. Paper: 5, also 10."""
    blocks: list[int] | None = None
    """Numbers of the blocks in flat order over all stages; nothing means the paper's: 0-4 for tokens, 0-9 for Swin, 0-14
    for ConvNeXt, as far as there are so many."""
    mode: Literal["parallel", "before", "after"] = "parallel"
    """Parallel to the sub-layer, before it, or after it (the official code then adds its INPUT). Paper: parallel."""
    scale: float | None = None
    """A fixed scalar s instead of a learnable one that starts at 1."""


class ConvAdapterConfig(AdapterConfig):
    """The adapter with 1x1 convolutions parallel to whole blocks (ConvNeXt)."""


class LoraConfig(Config):
    """LoRA on key and value projections, with a learnable scale."""

    rank: Positive = 5
    """Rank of the factors. Paper: 5, also 10."""
    blocks: list[int] | None = None
    """Numbers of the blocks; nothing means the paper's, see `lae/adapter`."""
    scale: float | None = None
    """A fixed scalar s instead of a learnable one that starts at 1."""


class PrefixConfig(Config):
    """Prefix keys and values, compensated for their share of the softmax."""

    length: Positive = 10
    """Tokens of the prefix. Paper: 10, also 20."""
    blocks: list[int] | None = None
    """Numbers of the blocks; nothing means the paper's, see `lae/adapter`."""
    compensated: bool = True
    """Divide the prefix columns by their sum (section 3.1); false is plain prefix tuning, the paper's ablation."""
    scale: float | None = None
    """A fixed scalar s instead of a learnable one that starts at 1."""


class PromptPoolConfig(Config):
    """A pool of prompts picked by a query of the frozen backbone, in the manner of L2P; a baseline."""

    pool: Positive = 10
    """Prompts in the pool. L2P: 10."""
    length: Positive = 5
    """Tokens of each. L2P: 5."""
    top: Positive = 5
    """Prompts picked for an image. L2P: 5."""
    pull: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the loss that pulls picked keys to the query. L2P: 0.5."""

    @model_validator(mode="after")
    def _enough(self) -> PromptPoolConfig:
        if self.top > self.pool:
            raise ValueError(f"top {self.top} is more than the pool's {self.pool} prompts")
        return self


class LearnedConfig(Config):
    """What `lae/continual` leaves behind: a backbone, its experts, and a head a task. Not written by hand."""

    backbone: UseModel
    """The backbone's component."""
    pet: UseModel | None = None
    """The tuning method."""
    pooling: Literal["auto", "cls", "mean", "mean-without-last", "last", "pooler"] = "auto"
    """How tokens become a feature."""
    feature_module: str | None = None
    """Module whose input is the feature."""
    width: Positive
    """Width of the feature."""
    classes: list[int]
    """Classes of each head."""
    offline: Count = 0
    """Offline experts."""
    only_offline: bool = False
    """Decide without the online expert."""
    classifier: Literal["linear", "means"] = "linear"
    """How the heads were made."""
