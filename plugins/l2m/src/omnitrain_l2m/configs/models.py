"""Settings of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath

Size = Literal["tiny", "small", "medium", "paper", "large", "huge"]
SIZES: Mapping[str, tuple[int, int, int]] = {
    "tiny": (1, 2, 128),
    "small": (3, 4, 256),
    "medium": (4, 8, 512),
    "paper": (6, 12, 768),
    "large": (8, 12, 768),
    "huge": (24, 16, 1024),
}
"""Layers, heads and width of the official presets."""


METHODS: Mapping[str, Mapping[str, Any]] = {
    "full": {},
    "head": {},
    "last-layer": {},
    "adapters": {"reduction": 16, "shared": False},
    "ia3": {},
    "lora": {"rank": 8, "alpha": 16.0},
    "prompt": {"length": 25},
    "prefix": {"length": 25},
    "l2p-pt": {"pool": 100, "length": 5, "top": 5, "pull": 0.5, "prompt_dropout": 0.1},
    "l2p-pret": {"pool": 100, "length": 5, "top": 5, "pull": 0.5, "prompt_dropout": 0.1},
    "l2p-pv2": {"pool": 100, "length": 5, "top": 5, "pull": 0.5, "prompt_dropout": 0.1},
    "l2m": {"pool": 30, "rank": 8, "alpha": 16.0, "pull": 0.5, "modulate": "lora"},
    "l2m-oracle": {"pool": 30, "rank": 8, "alpha": 16.0, "pull": 0.5, "modulate": "lora"},
}
"""What each method has to set, with the paper's values."""
KEYED = ("l2p-pt", "l2p-pret", "l2p-pv2", "l2m", "l2m-oracle")
_POOLED = {"query": "states", "similarity": "cosine", "count_penalty": True, "key_rate": 1.0}
MethodName = Literal[
    "full", "head", "last-layer", "adapters", "ia3", "lora", "prompt", "prefix",
    "l2p-pt", "l2p-pret", "l2p-pv2", "l2m", "l2m-oracle",
]  # fmt: skip


class MethodConfig(Config):
    """What of a pre-trained model is tuned. null takes the paper's value; a setting that the method lacks is refused."""

    name: MethodName = "l2m"
    """l2m: a pool of low-rank modulators, of which an example chooses one by its states. l2m-oracle: one of the task's block.
    full, head, last-layer, adapters, ia3, lora, prompt, prefix: one set for all. l2p-pt, l2p-pret, l2p-pv2: a pool of prompts
    in front of the input, of keys and values, of every layer."""
    pool: int | None = Field(default=None, ge=1)
    """Entries of the pool. Paper: 30 modulators, 100 prompts."""
    rank: int | None = Field(default=None, ge=1)
    """Rank of the factors. Paper: 8."""
    alpha: float | None = Field(default=None, gt=0)
    """Scale of the factors times their rank. Paper: 16."""
    modulate: Literal["lora", "lora-qv", "ia3"] | None = None
    """What an entry of l2m holds: factors on query, value and feed-forward layer, on query and value, or vectors (IA3)."""
    length: int | None = Field(default=None, ge=1)
    """Tokens of a prompt or prefix. Paper: 25, in a pool 5."""
    top: int | None = Field(default=None, ge=1)
    """Prompts that an example chooses. Paper: 5."""
    pull: float | None = Field(default=None, ge=0)
    """Weight of the similarity of queries and chosen keys in the loss. Paper: 0.5."""
    prompt_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Of chosen prompts. Paper: 0.1."""
    query: Literal["states", "all", "layer-1", "last"] | None = None
    """What is averaged to the query: embedded states, all embedded tokens, or the states behind the frozen model's first block
    or its last (a second forward pass). Paper: states."""
    similarity: Literal["cosine", "euclidean"] | None = None
    """Of queries and keys. Paper: cosine."""
    count_penalty: bool | None = None
    """Keep later tasks off entries that earlier ones chose, in training. Paper: true."""
    key_rate: float | None = Field(default=None, gt=0)
    """Learning rate of keys as a multiple. Paper: 1."""
    reduction: int | None = Field(default=None, ge=1)
    """Width of the model over that of an adapter. Paper: 16."""
    shared: bool | None = None
    """One set of adapters for all blocks."""

    def options(self) -> dict[str, Any]:
        """Return what the method has to set, the paper's values where nothing is set."""
        known = {**METHODS[self.name], **(_POOLED if self.name in KEYED else {})}
        return {name: default if getattr(self, name) is None else getattr(self, name) for name, default in known.items()}

    @model_validator(mode="after")
    def _belongs(self) -> MethodConfig:
        known = self.options()
        beyond = [n for n in type(self).model_fields if n != "name" and n not in known and getattr(self, n) is not None]
        if beyond:
            raise ValueError(f"{self.name} has no {beyond[0]}; it has {', '.join(known) or 'no settings'}")
        if self.name in KEYED and known.get("top", 1) > known["pool"]:
            raise ValueError(f"top {known['top']} is more than the pool's {known['pool']} entries")
        return self


class MddtConfig(Config):
    """A decision transformer over states, returns, action bins and rewards of several domains (MDDT)."""

    size: Size = "paper"
    """Layers, heads and width of an official preset; paper has 44.5 million parameters with the paper's spaces."""
    layers: int | None = Field(default=None, ge=1)
    """In the place of the preset's."""
    heads: int | None = Field(default=None, ge=1)
    """In the place of the preset's."""
    width: int | None = Field(default=None, ge=2)
    """In the place of the preset's; a multiple of heads."""
    states: int | None = Field(default=None, ge=1)
    """Width of the unified states; null for the data's. Paper: 204."""
    dimensions: int | None = Field(default=None, ge=1)
    """Width of the unified actions; null for the data's. Paper: 6."""
    steps: int = Field(default=1000, ge=1)
    """Steps that have an embedding of time. Paper: 1000."""
    bins: int = Field(default=64, ge=2)
    """Bins of an action dimension. Paper: 64."""
    shift: int = Field(default=0, ge=0)
    """Tokens that are left free before those of actions. Paper: 0."""
    tokens: Literal["minmax", "minmax2", "mulaw"] = "minmax"
    """How numbers are cut: bins of one width (the paper's), bins at both ends, or finer ones around 0."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Of attention, residuals and embeddings. Paper: 0.1."""
    weights: InputPath | None = None
    """Weights under the official names to begin with, .safetensors or .pt."""
    method: MethodConfig | None = None
    """What is tuned of a pre-trained model, {from: pretrain, method: {name: l2m}}; null trains all of it."""
    tasks: int = Field(default=1, ge=1)
    """Tasks that are learned one after the other, among which l2m-oracle parts its pool."""
    task: int = Field(default=0, ge=0)
    """Number of the task that is learned, from 0: {from: first, task: 1} goes on to the second."""

    @model_validator(mode="after")
    def _heads_fit(self) -> MddtConfig:
        _, heads, width = self.sizes()
        if self.task >= self.tasks and self.task:
            raise ValueError(f"task {self.task} is none of {self.tasks} tasks, which are numbered from 0; set tasks")
        if width % heads:
            raise ValueError(f"width {width} is no multiple of heads {heads}")
        return self

    def sizes(self) -> tuple[int, int, int]:
        """Return layers, heads and width."""
        layers, heads, width = SIZES[self.size]
        return self.layers or layers, self.heads or heads, self.width or width
