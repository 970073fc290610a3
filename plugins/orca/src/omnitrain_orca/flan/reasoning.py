"""Generated reasoning tasks in the manner of BIG-Bench Hard, which rules can work out from their text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from omnitrain_orca.flan.records import Query, digest_of
from omnitrain_orca.paper.sampling import Collection
from omnitrain_orca.paper.systems import is_multiple_choice

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PEOPLE, _THINGS = ("Ann", "Bob", "Cat"), ("ball", "cup", "pen")
_HELD_OUT_EVERY = 5


@dataclass(frozen=True)
class Worked:
    """A question with what leads to its answer: each step carries its operands."""

    steps: Sequence[str]
    answer: str


@dataclass(frozen=True)
class ReasoningTask:
    """make: draws a question of so many steps. solve: works it out, None for a text that is no question of this task."""

    collection: Collection
    make: Callable[[np.random.Generator, int], str]
    solve: Callable[[str], Worked | None]


def _pick(generator: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(generator.integers(len(values)))]


def _make_boolean(generator: np.random.Generator, steps: int) -> str:
    words = [_pick(generator, ("True", "False"))]
    for _ in range(steps):
        words += [_pick(generator, ("and", "or")), _pick(generator, ("True", "False"))]
    return f"Evaluate from left to right: {' '.join(words)}."


def _solve_boolean(question: str) -> Worked | None:
    found = re.fullmatch(r"Evaluate from left to right: ([A-Za-z ]+)\.", question)
    if found is None:
        return None
    first, *rest = found[1].split(" ")
    value, steps = first, list[str]()
    for operator, other in zip(rest[::2], rest[1::2], strict=True):
        both = [value == "True", other == "True"]
        after = str(all(both) if operator == "and" else any(both))
        steps.append(f"{value} {operator} {other} = {after}.")
        value = after
    return Worked(steps, value)


def _make_walk(generator: np.random.Generator, steps: int) -> str:
    moves = [f"Go {_pick(generator, ('up', 'down'))} {int(generator.integers(1, 5))}." for _ in range(steps)]
    return f"Start at {int(generator.integers(10))}. {' '.join(moves)} Where are you?"


def _solve_walk(question: str) -> Worked | None:
    found = re.fullmatch(r"Start at (\d+)\. ((?:Go (?:up|down) \d+\. )+)Where are you\?", question)
    if found is None:
        return None
    place, steps = int(found[1]), list[str]()
    for way, by in re.findall(r"Go (up|down) (\d+)\.", found[2]):
        after = place + int(by) if way == "up" else place - int(by)
        steps.append(f"{place} {'+' if way == 'up' else '-'} {by} = {after}.")
        place = after
    return Worked(steps, str(place))


def _make_days(generator: np.random.Generator, steps: int) -> str:
    passed = [f"{int(generator.integers(1, 5))} days pass." for _ in range(steps)]
    return f"Today is {_pick(generator, _DAYS)}. {' '.join(passed)} Which day is it?"


def _solve_days(question: str) -> Worked | None:
    found = re.fullmatch(r"Today is (\w+)\. ((?:\d+ days pass\. )+)Which day is it\?", question)
    if found is None:
        return None
    day, steps = found[1], list[str]()
    for by in re.findall(r"\d+", found[2]):
        after = _DAYS[(_DAYS.index(day) + int(by)) % len(_DAYS)]
        steps.append(f"{day} + {by} = {after}.")
        day = after
    return Worked(steps, day)


def _make_swaps(generator: np.random.Generator, steps: int) -> str:
    things = [_THINGS[i] for i in generator.permutation(len(_THINGS))]
    held = ", ".join(f"{person} has a {thing}" for person, thing in zip(_PEOPLE, things, strict=True))
    pairs = [sorted(generator.choice(len(_PEOPLE), 2, replace=False)) for _ in range(steps)]
    swaps = " ".join(f"{_PEOPLE[a]} and {_PEOPLE[b]} swap." for a, b in pairs)
    options = "\n".join(f"({letter}) {thing}" for letter, thing in zip("ABC", _THINGS, strict=True))
    return f"{held}. {swaps} What does {_pick(generator, _PEOPLE)} have?\nOptions:\n{options}"


def _solve_swaps(question: str) -> Worked | None:
    asked = re.search(r"What does (\w+) have\?\nOptions:\n", question)
    if asked is None:
        return None
    held = dict(re.findall(r"(\w+) has a (\w+)", question))
    steps = []
    for a, b in re.findall(r"(\w+) and (\w+) swap\.", question):
        held[a], held[b] = held[b], held[a]
        steps.append(f"{a} {held[a]}, {b} {held[b]}.")
    letters = {thing: letter for letter, thing in re.findall(r"\(([A-C])\) (\w+)", question)}
    return Worked(steps, f"({letters[held[asked[1]]]})")


TASKS: Mapping[str, ReasoningTask] = {
    "walk": ReasoningTask("cot", _make_walk, _solve_walk),
    "days": ReasoningTask("niv", _make_days, _solve_days),
    "boolean": ReasoningTask("t0", _make_boolean, _solve_boolean),
    "swaps": ReasoningTask("flan", _make_swaps, _solve_swaps),
}


def solve(question: str) -> Worked | None:
    """Work out a question of any task, None where it is of none."""
    return next((found for task in TASKS.values() if (found := task.solve(question)) is not None), None)


def is_held_out(question: str) -> bool:
    """Tell whether a question is for exams: a fifth of all, by a hash of the text; no sampler gives these."""
    return hashlib.blake2b(question.encode(), digest_size=2).digest()[1] % _HELD_OUT_EVERY == 0


def questions(task: str, count: int, steps: tuple[int, int], generator: np.random.Generator, held_out: bool) -> Iterator[str]:
    """Yield different questions of a task, fewer than `count` where there are not so many. steps: least and most."""
    known: set[str] = set()
    for _ in range(60 * count):
        if len(known) == count:
            return
        question = TASKS[task].make(generator, int(generator.integers(steps[0], steps[1] + 1)))
        if question not in known and is_held_out(question) == held_out:
            known.add(question)
            yield question


def generated_queries(count: int, steps: tuple[int, int], generator: np.random.Generator) -> Iterator[Query]:
    """Yield `count` queries of each task, none of which an exam asks."""
    for name, task in TASKS.items():
        for question in questions(name, count, steps, generator, held_out=False):
            worked = task.solve(question)
            assert worked is not None
            digest = digest_of(task.collection, name, question, worked.answer)
            has_options = is_multiple_choice(question)
            kind = "zs_opt" if has_options else "zs_noopt"
            yield Query(task.collection, name, kind, question, worked.answer, has_options, digest)
