"""Settings of the evaluators."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, UseData
from omnitrain_eft.configs.models import Share
from omnitrain_language.configs.chat import ChatConfig
from omnitrain_language.configs.limits import NonNegative, Positive

Member = Literal["composition", "large base", "small base", "small fine-tuned", "large fine-tuned", "large LoRA"]
TENTHS = [round(0.1 * i, 1) for i in range(11)]


class GridConfig(Config):
    """Pre-training scale x fine-tuning scale, teacher-forced on replies, with all base rows."""

    split: str = "valid"
    """Split of the data."""
    rows: Positive | None = None
    """At most so many dialogues; nothing means: all."""
    batch_size: Positive = 16
    """Dialogues of a batch."""
    alphas: list[float] = Field(default_factory=list)
    """Further rows: the composition at these alphas."""
    betas_up: list[float] = Field(default_factory=list)
    """Further rows: the composition at these beta_up."""
    delta_top_ps: list[Share] = Field(default_factory=list)
    """Further rows: the composition with these delta_top_p."""


class FrontierConfig(Config):
    """Two experts interpolated, up-scaled and at the small size."""

    helpful: UseData
    """Dialogues in the behaviour of the first expert."""
    safe: UseData
    """Dialogues in the behaviour of the second expert."""
    lambdas: list[float] = Field(default_factory=lambda: list(TENTHS), min_length=2)
    """Weights of the first expert; the second gets 1 - lambda."""
    split: str = "valid"
    """Split of both data."""
    rows: Positive | None = None
    """At most so many dialogues of each."""
    batch_size: Positive = 16
    """Dialogues of a batch."""


class ShiftMapsConfig(Config):
    """Which tokens up-scaling changes: total variation between the composition and the fine-tuned small model."""

    split: str = "valid"
    """Split of the data."""
    rows: Positive = 8
    """How many dialogues are drawn as maps."""
    measured_rows: Positive = 64
    """How many dialogues the table of tokens and the means rest on."""
    tokens: Positive = 20
    """How many tokens the table names."""
    batch_size: Positive = 16
    """Dialogues of a batch."""


class ThroughputConfig(Config):
    """Tokens a second: large model alone, plain, and speculative with several block sizes, beside the cost model."""

    blocks: list[Positive] = Field(default_factory=lambda: [2, 4, 8])
    """Block sizes."""
    prompts: Positive = 8
    """How many prompts of the data's split."""
    split: str = "valid"
    """Split of the data."""
    batch_size: Positive = 1
    """Prompts that are decoded together."""
    max_new_tokens: Positive = 48
    """Longest reply in tokens."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0 is greedy; then the texts of all variants must be the same."""
    rounds: Positive = 3
    """How often each variant runs, in turn with the others."""
    timed: bool = True
    """Whether seconds are measured; counts alone are the same in every run."""


class JudgeConfig(Config):
    """Who tells how good a reply is."""

    name: str
    """Name of the criterion, such as factuality."""
    kind: Literal["overlap", "contains", "distinct", "opens-with", "chat"]
    """Word overlap (F1) with the reference, whether it holds the reference, whether it repeats no word group, whether it
    begins with `text`; or a language model that is asked for a number."""
    text: str = ""
    """For `opens-with`: the beginning, upper and lower case alike."""
    question: str = "Question: {prompt}\nReference: {reference}\nAnswer: {reply}\nGrade the answer from 1 to 10.\nGrade:"
    """What a language model is asked, with {prompt}, {reply} and {reference}."""
    lowest: float = 1.0
    """Least grade of a language model."""
    highest: float = 10.0
    """Best grade; what lies outside, or holds no number, is unparsable and counted."""
    chat: ChatConfig | None = None
    """Of `chat`: the language model, at an endpoint, of a stage, or recorded. An answer that is cut gives no grade."""

    @model_validator(mode="after")
    def _complete(self) -> JudgeConfig:
        if self.kind == "chat" and self.chat is None:
            raise ValueError("kind chat needs chat")
        if self.kind == "opens-with" and not self.text:
            raise ValueError("kind opens-with needs text")
        if self.lowest >= self.highest:
            raise ValueError(f"lowest {self.lowest:g} must be below highest {self.highest:g}")
        return self


class ArmConfig(Config):
    """Something that replies: a member alone, or the composition with some dials turned."""

    name: str
    """Its name in tables."""
    member: Member = "composition"
    """Who replies; a member that the composition lacks is left out."""
    down: bool = False
    """Down-scaling: the small base with what fine-tuning changed in the large model."""
    alpha: float | None = None
    """Dial of the composition."""
    beta_up: float | None = None
    """Dial of the composition."""
    delta_top_p: Share | None = None
    """Dial of the composition."""
    top_p: Share = 1.0
    """Ordinary nucleus of this arm."""


_ALONE: tuple[Member, ...] = ("large base", "small base", "small fine-tuned", "large fine-tuned", "large LoRA")
DOWN = ArmConfig(name="down-scaled", down=True)


def grid_arms() -> list[ArmConfig]:
    """Return the arms of the paper's grid with the base rows."""
    return [*(ArmConfig(name=name, member=name) for name in _ALONE), ArmConfig(name="up-scaled"), DOWN]


class JudgedConfig(Config):
    """Replies that are written and judged: every arm, every criterion, with normalised improvement."""

    judges: list[JudgeConfig] = Field(min_length=1)
    """The criteria."""
    arms: list[ArmConfig] = Field(default_factory=grid_arms, min_length=1)
    """Who replies."""
    split: str = "valid"
    """Split of the data."""
    prompts: Positive = 256
    """How many prompts. Paper: 256."""
    batch_size: Positive = 16
    """Prompts that are decoded together."""
    max_new_tokens: Positive = 64
    """Longest reply in tokens."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """Paper: 1, sampling."""
    samples: NonNegative = 4
    """How many replies of each arm the report shows."""
