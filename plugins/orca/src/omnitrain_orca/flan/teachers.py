"""Two teachers that are rules: they work the generated tasks out, one with all steps and one with the last alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omnitrain.errors import DataError
from omnitrain_orca.flan.reasoning import solve
from omnitrain_orca.flan.systems import read_systems

ANSWER_FIRST = (8, 10)
"""Ids of the messages that ask for the answer before the explanation."""


def weak(messages: Sequence[Mapping[str, str]]) -> str:
    """Answer with the last step alone."""
    return _answer(messages, last_only=True)


def strong(messages: Sequence[Mapping[str, str]]) -> str:
    """Answer with every step."""
    return _answer(messages, last_only=False)


def _answer(messages: Sequence[Mapping[str, str]], last_only: bool) -> str:
    """Raises DataError for a question that is none of the generated tasks."""
    question = messages[-1]["content"]
    worked = solve(question)
    if worked is None:
        raise DataError(f"the rule teachers answer the generated tasks only, not {question[:80]!r}: ask a model with chat")
    steps = " ".join(worked.steps[-1:] if last_only else worked.steps)
    told = f"The answer is {worked.answer}."
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    first = {read_systems()[number] for number in ANSWER_FIRST}
    return f"{told} {steps}" if system in first else f"{steps} {told}"


def likes_length(messages: Sequence[Mapping[str, str]]) -> str:
    """Judge two answers by their words alone, up to ten: a judge of style that knows nothing of what is right."""
    _, _, both = messages[-1]["content"].rpartition("[Assistant 1]\n")
    first, _, second = both.partition("\n\n[Assistant 2]\n")
    return f"{min(10, 1 + len(first.split()))} {min(10, 1 + len(second.split()))}"
