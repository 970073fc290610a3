"""Settings of this plugin's components. Light: imports omnitrain.api, pydantic and the language package's configs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, UseData, UseModel
from omnitrain_language.configs.data import TokenizerConfig, builtin_text

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


class TokensSeenConfig(Config):
    """How many examples and tokens of each denoiser were trained on so far, and how full the batches were."""


class CrossDenoisingConfig(Config):
    """Held-out loss on each denoiser, per token of text or of the targets."""

    mixture: MIXTURE_NAMES = "balanced"
    """The denoisers to measure on."""
    denoisers: list[DenoiserConfig] = Field(default_factory=list)
    """The denoisers of a custom mixture."""
    split: str = "valid"
    """Split to measure on."""
    rows: Annotated[int, Field(ge=1)] = 256
    """Segments per denoiser; fewer where the split has fewer."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Segments of one forward pass."""
    mode: Literal["matching", "none", "R", "X", "S"] = "matching"
    """Mode token in front of the inputs: that of each denoiser's kind, none, or always the same."""
    tokens: Literal["text", "targets"] = "text"
    """text: tokens that are no sentinel and no EOS, with probabilities renormalised over such tokens, so that arms compare
    which never learned sentinels, or which rightly expect one. targets: all target tokens, as in training, so that modes of
    one model compare."""


class SamplesConfig(Config):
    """Texts written in each mode from corrupted or cut validation text."""

    split: str = "valid"
    """Split that the segments are taken from."""
    count: Annotated[int, Field(ge=1)] = 2
    """Segments per mode."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 48
    """Longest output in tokens."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy."""


class ArmConfig(Config):
    """One model of a comparison."""

    model: UseModel
    """The model, usually {from: stage}."""
    mode: Literal["matching", "none", "R", "X", "S"] = "matching"
    """Mode token it is asked with; a model that was trained in one mode only is asked in that."""


class CompareConfig(CrossDenoisingConfig):
    """Models side by side on every denoiser, with the unigram level and the worst-case regret."""

    arms: dict[str, ArmConfig] = Field(min_length=1)
    """Name to model. All must come from stages with the same tokenizer."""
    device: str = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""


TASK_METRICS = Literal["accuracy", "f1", "em", "token-f1", "rouge1", "rouge2", "rougeLsum", "log-likelihood"]
MODE_NAMES = Literal["R", "X", "S", "none"]


class TaskConfig(Config):
    """One text-to-text task: pairs, and how answers are scored."""

    data: UseData
    """language/pairs, or {from: stage} for those of a fine-tuning stage. Its own `prefix` is not used: see `modes`."""
    metrics: list[TASK_METRICS] = Field(min_length=1)
    """All in percent and better when higher; the first is the task's score. accuracy: the same text; f1: mean over the
    classes; em and token-f1: as SQuAD has them; rouge: F-measures; log-likelihood: of the right answer, mean per token
    in nats (not in percent)."""
    shots: Annotated[int, Field(ge=0, le=1)] = 0
    """1: an example of the train split stands before the query, another one for every query (one-shot)."""
    shot: str = "{inputs}\n{targets}\n"
    """How a one-shot example is written; the query is written like it, up to its targets. The answer is the first line."""
    split: str = "valid"
    """Split to measure on."""
    rows: Annotated[int, Field(ge=1)] = 256
    """Queries, spread evenly over the split; fewer where it has fewer."""
    inputs_length: Annotated[int, Field(ge=8)] = 512
    """Longest inputs in tokens, mode included: longer ones lose their end, one-shot ones the beginning of the example."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 32
    """Longest answer in tokens."""

    @model_validator(mode="after")
    def _shot_holds_a_pair(self) -> TaskConfig:
        before, between, _ = self.shot.partition("{targets}")
        if not between or "{inputs}" not in before:
            raise ValueError("shot must hold {inputs} and, behind it, {targets}")
        return self


class GridConfig(Config):
    """Tasks under every mode."""

    tasks: dict[str, TaskConfig] = Field(min_length=1)
    """Name to task."""
    modes: list[MODE_NAMES] = Field(default=["R", "X", "S", "none"], min_length=1)
    """Modes that each task is asked in."""
    mode_texts: ModesConfig = ModesConfig()
    """What the modes are written as; those of pre-training."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Queries answered at once."""


class TasksConfig(GridConfig):
    """A model on text-to-text tasks under every mode, by what it writes."""


class GainTaskConfig(TaskConfig):
    """One task of a comparison."""

    model: str = "model"
    """Which of an arm's models answers, such as the one fine-tuned on this task."""


class GainsConfig(GridConfig):
    """Arms on text-to-text tasks, each in its best mode, and their mean relative gain over anchors."""

    tasks: dict[str, GainTaskConfig] = Field(min_length=1)  # type: ignore[assignment]
    """Name to task."""
    arms: dict[str, dict[str, UseModel]] = Field(min_length=2)
    """Name to the arm's models by the names that tasks use, usually {model: {from: stage}}."""
    anchors: list[str] = Field(min_length=1)
    """Arms that the gain is over. Paper: decoder-only causal LM, and encoder-decoder span corruption."""
    device: str = "auto"
    """"auto" takes the first GPU where there is one, else the CPU; or a torch device name."""

    @model_validator(mode="after")
    def _names_are_known(self) -> GainsConfig:
        for anchor in self.anchors:
            if anchor not in self.arms:
                raise ValueError(f"anchor {anchor!r} is no arm; there are {', '.join(self.arms)}")
        for name, task in self.tasks.items():
            for arm, models in self.arms.items():
                if task.model not in models:
                    raise ValueError(f"task {name!r} needs a model {task.model!r}, which arm {arm!r} lacks")
        return self
