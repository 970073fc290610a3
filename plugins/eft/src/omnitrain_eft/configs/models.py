"""Settings of the models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseModel
from omnitrain_language.configs.limits import NonNegative, Positive
from omnitrain_language.configs.models import CausalConfig

Share = Annotated[float, Field(gt=0, le=1)]
Architecture = Literal["llama-2-7b", "llama-2-13b", "llama-2-70b", "falcon-7b", "falcon-40b", "falcon-180b"]


class ShapedCausalConfig(CausalConfig):
    """A decoder-only model of any shape: own width and depth, a released architecture, or a path."""

    width: Positive | None = None
    """Width of a model with random weights; nothing means: that of `size`."""
    layers: Positive | None = None
    """Layers of a model with random weights; nothing means: those of `size`."""
    heads: Positive | None = None
    """Attention heads of a model with random weights; nothing means: those of `size`."""
    architecture: Architecture | None = None
    """Shape of a released model. With `path` it is what a dry run counts, so that none of the weights is fetched."""
    dtype: Literal["float32", "bfloat16", "int8"] = "float32"  # type: ignore[assignment]
    """Type of the weights. `int8`: the linear layers of `path` in 8 bit, the rest in bfloat16, for decoding only; needs the
    extra `eight-bit`."""

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        return dict.fromkeys(("accelerate", "bitsandbytes") if self.dtype == "int8" else (), "omnitrain-eft[eight-bit]")

    @model_validator(mode="after")
    def _eight_bit_is_loaded(self) -> ShapedCausalConfig:
        if self.dtype == "int8" and self.path is None:
            raise ValueError("dtype int8 quantises weights while they are loaded: it needs path")
        if self.dtype == "int8" and (self.lora is not None or self.gradient_checkpointing):
            raise ValueError("dtype int8 is for decoding only: leave out lora and gradient_checkpointing")
        return self

    @model_validator(mode="after")
    def _one_shape(self) -> ShapedCausalConfig:
        own = [name for name in ("width", "layers", "heads") if getattr(self, name) is not None]
        if own and (self.path is not None or self.architecture is not None):
            raise ValueError(f"{', '.join(own)} can't be set beside path or architecture, which have a shape of their own")
        if self.width is not None and self.heads is not None and self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class ExpertConfig(Config):
    """A small model that was fine-tuned."""

    model: UseModel
    """The fine-tuned model."""
    base: UseModel | None = None
    """The base that it was tuned from; nothing means: `small`, or, where it has LoRA adapters, itself without them."""
    weight: float = 1.0
    """Weight of what its fine-tuning changed; two weights lambda and 1 - lambda interpolate rewards. Paper: 1."""
    template: str = "plain"
    """How its prompts are written: `plain`, `chat` (its tokenizer's chat template), or a text with {prompt}."""
    base_template: str | None = None
    """How the prompts of its own `base` are written; nothing means: as those of `small`."""


class CompositionConfig(Config):
    """A large base plus what fine-tuning changed in small models (section 3 of the paper)."""

    large: UseModel
    """The large base."""
    small: UseModel | None = None
    """The small base; nothing means: the first expert without its LoRA adapters."""
    experts: list[ExpertConfig] = Field(min_length=1)
    """Fine-tuned small models with their weights."""
    large_tuned: UseModel | None = None
    """The fine-tuned large model, for evaluation only: the upper bound, and what down-scaling takes its change from."""
    large_lora: UseModel | None = None
    """The large model tuned by LoRA, for evaluation only: what one would do where it can be trained after all."""
    alpha: float = 1.0
    """Scale of what fine-tuning changed. Not both this and beta_up may differ from 1. Paper: 1."""
    beta_up: float = 1.0
    """Scale of the up-scaling delta. Paper: 1; above 1 amplifies what the large model knows better."""
    delta_top_p: Share | None = None
    """Apply the up-scaling delta only inside this nucleus of the small fine-tuned model. Paper: none in the main results."""
    base_floor: Annotated[float, Field(lt=0)] | None = -30.0
    """Log-probabilities (nats) of small bases are raised to this; null leaves them, and a token that a base alone excludes is
    an error. Paper: not named."""
    block_size: NonNegative = 0
    """Tokens that a speculative round drafts; 0 decodes plainly. Paper: 2 to 16 tried, 8 best."""
    adaptive_block: bool = False
    """Choose the block up to block_size by the acceptance so far."""
    draft: NonNegative | None = None
    """Number of the expert that drafts; nothing means: the one of largest weight."""
    stacked: bool = True
    """Run small models of one architecture as one batch."""
    large_template: str = "plain"
    """How prompts of the large base are written: `plain`, `chat`, or a text with {prompt}."""
    small_template: str = "plain"
    """How prompts of the small base are written."""
    tokenizer: InputPath | None = None
    """Folder or hub name of the shared tokenizer; nothing means: that of the large base."""
    end_tokens: list[str] | None = None
    """Tokens that end a text; nothing means: the end of sequence of the tokenizer and of the experts."""

    @model_validator(mode="after")
    def _one_dial(self) -> CompositionConfig:
        if self.alpha != 1 and self.beta_up != 1:
            raise ValueError("alpha and beta_up are different dials and only one may be turned; set the other to 1")
        if self.draft is not None and self.draft >= len(self.experts):
            raise ValueError(f"draft {self.draft}: there are {len(self.experts)} experts, numbered from 0")
        if self.adaptive_block and not self.block_size:
            raise ValueError("adaptive_block needs a block_size: the largest block that it may choose")
        return self
