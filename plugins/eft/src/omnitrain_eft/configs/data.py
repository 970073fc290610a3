"""Settings of the data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseData
from omnitrain_language.configs import dialogues as prompted
from omnitrain_language.configs.limits import NonNegative, Positive
from omnitrain_language.configs.preferences import ReferenceConfig
from omnitrain_language.configs.tokenizers import TokenizerConfig

QUESTION = "User: what is {prompt}?\nBot:"


class FactsConfig(Config):
    """Pre-training text in miniature: facts of the standard library, as lines and as dialogues with mixed behaviour."""

    facts: Positive = 600
    """How many facts: names of functions and classes with the first sentence of their docstrings."""
    lines: NonNegative = 2
    """How often each fact stands as a line `name: summary`."""
    dialogues: NonNegative = 2
    """Dialogues about each fact, each with a behaviour that is drawn anew."""
    refusals: Annotated[float, Field(ge=0, le=1)] = 0.35
    """Share of dialogues that refuse."""
    helpful: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Share of dialogues in the style that fine-tuning is to bring about."""
    hedged: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Share of dialogues that answer with a reservation; the rest answers barely."""
    seed: NonNegative = 0
    """Seed of the drawn behaviours."""

    @model_validator(mode="after")
    def _shares(self) -> FactsConfig:
        if self.refusals + self.helpful + self.hedged > 1:
            raise ValueError("refusals, helpful and hedged add up to more than 1")
        return self


def facts_text() -> UseData:
    """Use `eft/facts` with its defaults."""
    return UseData(use="eft/facts")


class PromptedConfig(prompted.PromptedConfig):
    """What dialogues and preferences share."""

    path: InputPath = "builtin"
    """`builtin` (facts of the standard library), or files of records."""
    facts: Positive = 600
    """Built-in facts in all; as many as in the text that models are pre-trained on."""
    train_facts: Positive = 200
    """Built-in facts for training."""
    valid_facts: Positive = 200
    """Other built-in facts to measure on."""
    template: str = QUESTION
    """How a dialogue is written: `plain`, `chat`, a template by name, or a text with {prompt}."""
    tokenizer: TokenizerConfig = TokenizerConfig(vocabulary_size=1024)
    """How text becomes tokens."""
    tokenizer_text: UseData = Field(default_factory=facts_text)
    """Documents on which the tokenizer is trained."""

    @model_validator(mode="after")
    def _enough_facts(self) -> PromptedConfig:
        if self.path == "builtin" and self.train_facts + self.valid_facts > self.facts:
            raise ValueError(f"train_facts and valid_facts are more than facts {self.facts}")
        return self


class DialoguesConfig(PromptedConfig):
    """Prompts with replies: what fine-tuning and teacher-forced evaluation read.

    Files hold `messages` (list of {role, content}, the last one the reply) or `prompt` and `reference`.
    """

    style: Literal["helpful", "safe", "hedged", "bare"] = "helpful"
    """How built-in replies are written; `safe` refuses, `helpful` depends on whether the object is a class."""
    needs_reply: bool = True
    """Whether a record without a reply is malformed; false where only prompts are wanted."""


class PreferencesConfig(PromptedConfig):
    """Prompts with a better and a worse reply. Files are read as by `language/preferences`."""

    chosen: Literal["helpful", "safe", "hedged", "bare"] = "helpful"
    """How better built-in replies are written."""
    rejected: Literal["helpful", "safe", "hedged", "bare"] = "hedged"
    """How worse built-in replies are written."""
    reference: ReferenceConfig = ReferenceConfig()
    """The model against which preferences are measured. Paper: the one that fine-tuning starts from."""
