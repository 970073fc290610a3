"""Settings of the data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, UseData
from omnitrain_language.configs.data import builtin_text
from omnitrain_language.configs.tokenizers import TokenizerConfig

Kind = Literal["R", "X", "S"]
MIXTURE_NAMES = Literal[
    "uniform", "balanced", "ul2r", "span_corruption", "prefix_lm", "causal_lm", "sclm", "unified_lm", "custom"
]


class DenoiserConfig(Config):
    """One denoiser of a mixture of your own."""

    kind: Kind
    """R and X replace spans by sentinels, S splits the text; the kind decides the mode token."""
    mean_span: float | None = Field(default=None, gt=0)
    """Mean tokens of a span (mu); none for S."""
    rate: float = Field(ge=0, le=1)
    """Share of the tokens that is noise (r); S: 0 to 0.5 for a random split, 1 for a causal LM."""
    random_roll: bool = False
    """Rotate each mask by a random offset; the paper does not."""


class ModesConfig(Config):
    """Mode tokens, which stand in front of the inputs and tell the denoiser's kind."""

    style: Literal["special", "text", "none"] = "special"
    """One special id each, or plain text in several pieces as in the 20B release, or none."""
    R: str = "[R]"
    """Mode of regular span corruption; [NLU] in the 20B release."""
    X: str = "[X]"
    """Mode of extreme span corruption; [NLG] in the 20B release."""
    S: str = "[S]"
    """Mode of the sequential denoiser; [S2S] in the 20B release."""

    @model_validator(mode="after")
    def _modes_differ(self) -> ModesConfig:
        if self.style != "none" and len({self.R, self.X, self.S}) < 3:
            raise ValueError("the modes R, X and S need three different texts, or one kind can't be told from another")
        if self.style != "none" and not all((self.R, self.X, self.S)):
            raise ValueError("a mode can't be empty text; set style to none to train without modes")
        return self


class DenoisingConfig(Config):
    """Text under the mixture of denoisers (UL2 section 3.1)."""

    text: UseData = Field(default_factory=builtin_text)
    """Where the documents come from."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """How text becomes tokens. With sentinels 0 a trained tokenizer gets as many as the mixture needs."""
    mixture: MIXTURE_NAMES = "balanced"
    """Denoisers and rates. balanced: Table 1 with 20 % S (section 4.5); uniform: 1/7 each (the paper's listing); ul2r:
    continued training; the others are the paper's baselines; custom: `denoisers`."""
    denoisers: list[DenoiserConfig] = Field(default_factory=list)
    """The denoisers of a custom mixture."""
    rates: list[Annotated[float, Field(ge=0)]] | None = None
    """How often each denoiser is drawn, in the order of the mixture, any positive scale; none: the mixture's own."""
    inputs_length: Annotated[int, Field(ge=4)] = 512
    """Tokens of the longest inputs, mode and EOS included. Paper: 512."""
    targets_length: Annotated[int, Field(ge=2)] | None = None
    """Tokens of the longest targets, EOS included; none: as many as the mixture needs. Paper: 512."""
    modes: ModesConfig = ModesConfig()
    """Mode tokens."""
    layout: Literal["encoder-decoder", "decoder-only"] = "encoder-decoder"
    """Two sequences, or one row [inputs; targets] with a prefix mask over the inputs."""
    join_documents: Annotated[int, Field(ge=1)] = 128
    """Documents joined before segments are cut, for R and X; S never joins. Official code: 128."""
    shortest_segment: Annotated[int, Field(ge=1)] = 8
    """Shorter rests of documents are left out."""
    shard_documents: bool = False
    """Deal blocks of `join_documents` documents out to the denoisers in turn, so that each is trained on documents of
    its own (`shard_ds` of the paper's listing); else every denoiser sees all documents."""
    pack: bool = False
    """Lay several whole examples into one row, each seeing only itself, so that little of a row is padding."""
    packed_inputs_length: Annotated[int, Field(ge=4)] | None = None
    """Tokens of a packed row's inputs; none: inputs_length, which R and X fill with one example. Several times as much
    lets short and long targets share a row."""
    packed_targets_length: Annotated[int, Field(ge=2)] | None = None
    """Tokens of a packed row's targets; none: the longest targets. A decoder-only row holds inputs and targets."""

    @model_validator(mode="after")
    def _custom_has_denoisers(self) -> DenoisingConfig:
        if (self.mixture == "custom") != bool(self.denoisers):
            raise ValueError("'denoisers' belongs to mixture: custom, and a custom mixture needs it")
        return self

    @model_validator(mode="after")
    def _packed_rows_hold_an_example(self) -> DenoisingConfig:
        packed = (self.packed_inputs_length, self.packed_targets_length)
        if not self.pack and packed != (None, None):
            raise ValueError("packed_inputs_length and packed_targets_length belong to pack: true")
        if (packed[0] or self.inputs_length) < self.inputs_length:
            raise ValueError(f"packed_inputs_length {packed[0]} is below inputs_length {self.inputs_length}")
        return self
