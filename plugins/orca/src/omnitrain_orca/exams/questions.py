"""A question of an exam, and how answers are found in responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice


@dataclass(frozen=True)
class Question:
    """target: the right answer, as parsers give it."""

    task: str
    prompt: str
    target: str


@dataclass(frozen=True)
class Parser:
    """find: the answer in a response, None where there is none. is_right: compares it with the target."""

    name: str
    find: Callable[[Question, str], str | None]
    is_right: Callable[[str, str], bool] = str.__eq__


def first_of_each(questions: Sequence[Question], count: int | None) -> list[Question]:
    """Return the first questions of each task."""
    if count is None:
        return list(questions)
    tasks = dict.fromkeys(question.task for question in questions)
    return [q for task in tasks for q in islice((found for found in questions if found.task == task), count)]
