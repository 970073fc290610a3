"""AGIEval's files as questions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omnitrain.api import text_lines
from omnitrain.errors import DataError
from omnitrain_orca.exams.places import exam_path
from omnitrain_orca.exams.questions import Parser, Question
from omnitrain_orca.paper.agieval import LETTERS, TASKS, first_letter, prompt, tolerant_letter

PARSERS = (
    Parser("first letter", lambda _, text: first_letter(text) or None),
    Parser("tolerant", lambda _, text: tolerant_letter(text) or None),
)


def _fault(record: Any) -> str | None:
    if not isinstance(record, dict):
        return f"record is {type(record).__name__}, not an object"
    missing = next((name for name in ("passage", "question", "options", "label") if name not in record), None)
    if missing:
        return f"no field {missing!r}"
    options, label = record["options"], record["label"]
    if not isinstance(record["question"], str) or not isinstance(record["passage"], str | None):
        return "question and passage are no texts"
    if not isinstance(options, list) or not 2 <= len(options) <= len(LETTERS) or not all(isinstance(o, str) for o in options):
        return f"options is no list of 2 to {len(LETTERS)} texts"
    if label not in list(LETTERS[: len(options)]):
        return f"label {label!r} is none of {', '.join(LETTERS[: len(options)])}"
    return None


def question_of(task: str, record: Mapping[str, Any]) -> Question:
    """Return the question of a sound record."""
    return Question(task, prompt(record["passage"], record["question"], record["options"]), record["label"])


def read_agieval(path: str) -> list[Question]:
    """Return the questions of the English multiple-choice tasks that a folder holds; other files are left alone.

    Raises DataError for a folder without any, and for a malformed record.
    """
    folder = exam_path(path)
    files = [file for task in TASKS if (file := folder / f"{task}.jsonl").is_file()]
    if not files:
        raise DataError(f"{path}: no file of AGIEval; expected a folder with some of {', '.join(f'{t}.jsonl' for t in TASKS)}")
    return [question for file in files for question in _read(file)]


def _read(file: Path) -> list[Question]:
    found = []
    for number, line in text_lines(file):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(f"{file}:{number}: not JSON; expected a record of AGIEval on each line") from None
        if fault := _fault(record):
            raise DataError(f"{file}:{number}: {fault}; correct the record, or remove it")
        found.append(question_of(file.stem, record))
    if not found:
        raise DataError(f"{file}: there is no record in it; expected one of AGIEval on each line")
    return found
