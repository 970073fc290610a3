"""Judges: functions of reply and reference, and language models that are asked. A grade that can't be read is None."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from omnitrain.api import Run
from omnitrain_eft.configs.evaluators import JudgeConfig
from omnitrain_language.chat.asking import Chat, open_chat
from omnitrain_language.chat.messages import ask_for

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Submission:
    """What a judge sees: the prompt as text, the reply, and the reference where there is one."""

    prompt: str
    reply: str
    reference: str


class Judge(Protocol):
    """Grades replies; higher is better, None where no grade could be read."""

    def __call__(self, items: Sequence[Submission], /) -> list[float | None]: ...


def overlap(item: Submission) -> float:
    """Return the F1 of words that reply and reference share."""
    reply, reference = (Counter(text.lower().split()) for text in (item.reply, item.reference))
    shared = sum((reply & reference).values())
    total = sum(reply.values()) + sum(reference.values())
    return 2 * shared / total if total else 0.0


def contains(item: Submission) -> float:
    """Return 1 where the reply holds the reference, blanks joined."""
    reply, reference = (" ".join(text.lower().split()) for text in (item.reply, item.reference))
    return float(bool(reference) and reference in reply)


def distinct(item: Submission) -> float:
    """Return the share of different three-word groups; 1 for a reply without repetition, 0 for an empty one."""
    words = item.reply.split()
    groups = [tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))] if words else []
    return len(set(groups)) / len(groups) if groups else 0.0


@dataclass(frozen=True)
class FunctionJudge:
    """A metric function as a judge."""

    function: Callable[[Submission], float]

    def __call__(self, items: Sequence[Submission], /) -> list[float | None]:
        """Grade every reply."""
        return [self.function(item) for item in items]


def read_grade(text: str, lowest: float, highest: float) -> float | None:
    """Return the first number of an answer that lies within the scale, None where there is none."""
    found = [float(m) for m in _NUMBER.findall(text)]
    return next((value for value in found if lowest <= value <= highest), None)


def question(config: JudgeConfig, item: Submission) -> str:
    """Return what a model is asked; only the three known places are filled in."""
    places = {"{prompt}": item.prompt, "{reply}": item.reply, "{reference}": item.reference}
    pattern = re.compile("|".join(map(re.escape, places)))
    return pattern.sub(lambda match: places[match.group()], config.question)


class ChatJudge:
    """A language model that writes a grade. What is no whole answer, a cut or filtered one, is no grade."""

    def __init__(self, config: JudgeConfig, chat: Chat, run: Run | None = None) -> None:
        self.config, self.chat, self._run = config, chat, run

    def __call__(self, items: Sequence[Submission], /) -> list[float | None]:
        """Ask for every reply, once each; say how many answers could not be used."""
        config = self.config
        requests = [ask_for(question(config, item)) for item in items]
        if self._run is None:
            answers = self.chat.ask(requests)
        else:
            with self._run.progress(f"judge {config.name}", len(requests)) as bar:
                answers = self.chat.ask(requests, bar)
            self._run.event("judged", judge=config.name, summary=self.chat.summary())
        return [None if a.text is None else read_grade(a.text, config.lowest, config.highest) for a in answers]


def make_judge(config: JudgeConfig, run: Run) -> Judge:
    """Make the judge that a config asks for. Raises what `omnitrain_language.chat.asking.open_chat` raises."""
    if config.kind == "opens-with":
        opening = config.text.lower()
        return FunctionJudge(lambda item: float(item.reply.strip().lower().startswith(opening)))
    functions = {"overlap": overlap, "contains": contains, "distinct": distinct}
    if config.kind in functions:
        return FunctionJudge(functions[config.kind])
    assert config.chat is not None
    return ChatJudge(config, open_chat(config.chat, run), run)
