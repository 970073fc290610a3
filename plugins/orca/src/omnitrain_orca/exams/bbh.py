"""BIG-Bench Hard's files as questions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omnitrain.api import reading
from omnitrain.errors import DataError
from omnitrain_orca.exams.places import exam_path
from omnitrain_orca.exams.questions import Parser, Question
from omnitrain_orca.paper.bbh import INVALID, LETTERED, TASKS, extracted, last_extracted, matches, prompt

_LETTER = re.compile(r"\([A-Z]\)")
_OPTION = re.compile(r"^\(([A-Z])\) *(.+?) *$", re.MULTILINE)
Say = Callable[[str], None]


def _finding(rule: Callable[[str, str], str]) -> Callable[[Question, str], str | None]:
    def find(question: Question, response: str) -> str | None:
        target = question.target
        if question.task in LETTERED and not _LETTER.fullmatch(target) and target.lower() in response.lower():
            return target
        answer = rule(question.task, response)
        return None if answer == INVALID else answer

    return find


PARSERS = (Parser("first", _finding(extracted), matches), Parser("tolerant", _finding(last_extracted), matches))


def letter_of(question: str, target: str) -> str | None:
    """Return "(X)" for a target that is an option's text, None where no option, or more than one, has it.

    A few targets of the files are so; one of them holds only the beginning of its option.
    """
    options = [(letter, text) for letter, text in _OPTION.findall(question)]
    equal = [letter for letter, text in options if text.lower() == target.lower()]
    begun = equal or [letter for letter, text in options if text.lower().startswith(target.lower())]
    return f"({begun[0]})" if len(begun) == 1 else None


def read_bbh(path: str, say: Say = lambda text: None) -> list[Question]:
    """Return the questions of the 23 tasks that a folder holds; other files are left alone. say: told of mended targets.

    Raises DataError for a folder without any, and for a malformed file.
    """
    folder = exam_path(path)
    files = [file for task in TASKS if (file := folder / f"{task}.json").is_file()]
    if not files:
        raise DataError(
            f"{path}: no file of BIG-Bench Hard; expected a folder with some of {', '.join(f'{t}.json' for t in TASKS)}"
        )
    return [question for file in files for question in _read(file, say)]


def _read(file: Path, say: Say) -> list[Question]:
    with reading(file, 'an object {"examples": [{"input", "target"}]}'):
        content: Any = json.loads(file.read_text("utf-8"))
    examples = content.get("examples") if isinstance(content, dict) else None
    if not isinstance(examples, list) or not examples:
        raise DataError(f'{file}: no list "examples" in it; expected {{"examples": [{{"input", "target"}}]}}')
    return [_question(file, number, example, say) for number, example in enumerate(examples)]


def _question(file: Path, number: int, example: Any, say: Say) -> Question:
    place = f"{file}: example {number}"
    for name in ("input", "target"):
        if not isinstance(example, dict) or not isinstance(example.get(name), str):
            raise DataError(f"{place} has no text {name!r}; correct it, or remove it")
    target = example["target"].strip()
    if file.stem in LETTERED and not _LETTER.fullmatch(target):
        letter = letter_of(example["input"], target)
        if letter is None:
            say(f"{place}: target {target!r} is no option; a response that holds this text is right")
        else:
            say(f"{place}: target {target!r} is an option's text, taken for {letter}")
            target = letter
    return Question(file.stem, prompt(example["input"]), target)
