"""Settings of evaluators."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath
from omnitrain_language.configs.chat import ChatConfig
from omnitrain_language.configs.limits import NonNegative, Positive

BUILTIN = "builtin"
Samples = Annotated[int, Field(ge=0)]


class AsksConfig(Config):
    """How a model is asked: zero-shot, each question by itself."""

    system: str = ""
    """The system message; the paper's is empty."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """`chat`: the chat template of the model's tokenizer. `plain`: the texts alone. `auto`: `chat` where there is one."""
    batch_size: Positive = 16
    """Questions that are asked together; those of like length are."""
    questions: Positive | None = None
    """Only the first so many of each task; nothing means: all."""
    samples: Samples = 3
    """Responses that are shown."""


class WritesConfig(AsksConfig):
    """How a model writes its response."""

    max_new_tokens: Positive = 512
    """Longest response in tokens."""


class AgievalConfig(WritesConfig):
    """AGIEval's eight English multiple-choice tasks, zero-shot."""

    path: InputPath = BUILTIN
    """A folder with a file for each task, such as lsat-ar.jsonl, in AGIEval's own form; `builtin`: a few questions of ours."""


class BbhConfig(WritesConfig):
    """BIG-Bench Hard's 23 multiple-choice tasks, zero-shot."""

    path: InputPath = BUILTIN
    """A folder with a file for each task, such as snarks.json, in the form of BIG-Bench-Hard's repository; `builtin`: a few
    questions of ours."""


class TruthfulqaConfig(AsksConfig):
    """TruthfulQA's multiple choice, by the log-probabilities of the options."""

    path: InputPath = BUILTIN
    """The file mc_task.json of TruthfulQA's repository; `builtin`: a few questions of ours."""


class ReasoningConfig(WritesConfig):
    """Generated reasoning tasks that `orca/sample` never gives, also of more steps than it gave."""

    max_new_tokens: Positive = 96
    """Longest response in tokens."""
    questions: Positive | None = 32
    """Questions of each task."""
    steps: tuple[Positive, Positive] = (2, 4)
    """Least and most steps to an answer."""

    @model_validator(mode="after")
    def _bounded(self) -> ReasoningConfig:
        if self.questions is None:
            raise ValueError("questions: there is no end of generated ones; write how many of each task")
        if self.steps[0] > self.steps[1]:
            raise ValueError(f"steps {list(self.steps)}: write the least first")
        return self


class JudgedConfig(WritesConfig):
    """Responses graded by a judge beside reference answers, in both orders."""

    path: InputPath = BUILTIN
    """Records with the fields question and reference; `builtin`: a few of ours."""
    judge: ChatConfig
    """Who grades. The paper's is GPT-4 at temperature 0.2 with at most 1,024 tokens."""
    again: NonNegative = 2
    """How often the judge is asked again where its scores can't be read; what still can't be is left out and counted."""
