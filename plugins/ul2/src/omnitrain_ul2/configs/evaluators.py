"""Settings of the evaluators."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, UseData
from omnitrain_ul2.configs.data import MIXTURE_NAMES, DenoiserConfig, ModesConfig


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
