"""Settings of models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath
from omnitrain_language.configs.limits import Positive


class LoraConfig(Config):
    """Low-rank adapters instead of training all weights (arXiv 2106.09685)."""

    rank: Positive = 8
    """Rank of the update (r)."""
    alpha: Annotated[float, Field(gt=0)] = 16
    """Scale: the update is multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapters' input."""
    target_modules: list[str] | None = None
    """Names of the linear layers that get adapters; nothing means: those that peft knows for the architecture."""
    rank_stabilised: bool = False
    """Multiply by alpha / sqrt(rank) instead (rsLoRA, arXiv 2312.03732), so that gradients keep their size at large ranks."""
    also_train: Annotated[list[Literal["embeddings", "head"]], Field(max_length=2)] = Field(default_factory=list)
    """Matrices that are trained whole beside the adapters: the embedding of tokens, the head that gives their logits. Where
    the head is the embedding, both or neither. Rows of tokens that were added to a loaded model are trained without this."""


class PretrainedConfig(Config):
    """Settings that both kinds of Hugging Face models share."""

    path: InputPath | None = None
    """A folder or hub name to start from, instead of random weights of a `size`."""
    revision: str | None = None
    """Commit or tag of a hub model."""
    vocabulary_size: Positive | None = None
    """Rows of the embedding; nothing means: as many as the tokenizer of the data has. A loaded model grows by tokens that
    were added to its tokenizer (modes, sentinels) and never shrinks."""
    pad_vocabulary_to: Positive = 1
    """The number of rows is rounded up to a multiple of this (128 on GPUs)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout rate."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the weights. Mixed precision is the engine's: its master weights are these."""
    attention: Literal["sdpa", "eager"] = "sdpa"
    """Attention implementation of transformers; both accept masks per pair of positions."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass to save memory."""
    lora: LoraConfig | None = None
    """Train low-rank adapters only."""


class T5Config(PretrainedConfig):
    """An encoder-decoder."""

    size: Literal["tiny", "mini", "small", "base", "large", "xl", "ul2-20b"] = "mini"
    """Preset of a model with random weights; BART has those up to `large` (406 M)."""
    style: Literal["t5", "bart"] = "t5"
    """T5 1.1: gated SiLU, untied head, RMSNorm, relative positions. BART: GELU, tied head, LayerNorm, learned positions."""
    max_length: Positive = 1024
    """Longest sequence in tokens of a BART with random weights; T5 has no limit."""

    @model_validator(mode="after")
    def _has_size(self) -> T5Config:
        if self.style == "bart" and self.path is None and self.size in ("xl", "ul2-20b"):
            raise ValueError(f"size {self.size} is T5's; style bart has tiny, mini, small, base and large")
        return self


class CausalConfig(PretrainedConfig):
    """A decoder-only model."""

    size: Literal["tiny", "mini-half", "mini", "small", "medium", "large", "llama-3.2-1b"] = "mini"
    """Preset of a model with random weights; `small` is GPT-2's 124 M, `mini-half` computes as much as T5's `mini`. The last
    one is for style llama."""
    style: Literal["gpt2", "llama"] = "gpt2"
    """Learned positions and GELU, or rotary positions, RMSNorm and gated SiLU."""
    max_length: Positive = 1024
    """Longest sequence in tokens of a model with random weights."""
    untied: bool = False
    """Give the head weights of its own; of a loaded model whose head is its embedding, they begin as a copy of it."""
    prefix_attention: bool = False
    """Positions flagged in `prefix_mask` see each other in both directions (a prefix language model)."""

    @model_validator(mode="after")
    def _of_its_style(self) -> CausalConfig:
        if self.size == "llama-3.2-1b" and self.style != "llama" and self.path is None:
            raise ValueError("size llama-3.2-1b is Llama's: set style: llama, or choose another size")
        return self
