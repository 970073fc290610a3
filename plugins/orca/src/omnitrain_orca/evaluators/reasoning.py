"""Evaluator `orca/reasoning`."""

from __future__ import annotations

import re
from typing import Any

from omnitrain.api import Context, Evaluation, Run, numpy_generator
from omnitrain_orca.configs.evaluators import ReasoningConfig
from omnitrain_orca.exams.questions import Parser, Question
from omnitrain_orca.exams.sitting import sit
from omnitrain_orca.flan.reasoning import TASKS, questions

_TOLD = re.compile(r"answer is ([^\s.]+)")


def told_answer(response: str) -> str | None:
    """Return what stands behind the last "answer is", else a response that is one word, else None."""
    told = _TOLD.findall(response)
    if told:
        return str(told[-1])
    words = response.split()
    return words[0].rstrip(".") if len(words) == 1 else None


PARSERS = (Parser("told", lambda _, text: told_answer(text)),)


class Reasoning:
    """Accuracy on generated tasks that no sampler gives."""

    def __init__(self, config: ReasoningConfig, seed: int) -> None:
        self.config, self._seed = config, seed

    def questions(self) -> list[Question]:
        """Return the questions of every task."""
        found, generator = list[Question](), numpy_generator(self._seed)
        for name, task in TASKS.items():
            for text in questions(name, int(self.config.questions or 0), self.config.steps, generator, held_out=True):
                worked = task.solve(text)
                assert worked is not None
                found.append(Question(name, text, worked.answer))
        return found

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Ask and score. Raises UsageError for a model that can't write."""
        return sit(predictor, self.questions(), PARSERS, self.config, "orca/reasoning")


def build(config: ReasoningConfig, context: Context) -> Reasoning:
    """Make the evaluator `orca/reasoning`."""
    return Reasoning(config, context.seed("reasoning exam"))
