"""BIG-Bench Hard: the 23 tasks that the paper uses, and how an answer is found (zero-shot rules of lm-eval 0.4)."""

from __future__ import annotations

import re

INVALID = "[invalid]"
LEFT_OUT = ("dyck_languages", "multistep_arithmetic_two", "object_counting", "word_sorting")
"""Tasks of the files that are no multiple choice, which the paper leaves out."""
_YES_NO = re.compile(r"\b(Yes|No|yes|no)\b")
_WORDS = {
    "boolean_expressions": re.compile(r"\b(True|False)\b"),
    "causal_judgement": _YES_NO,
    "navigate": _YES_NO,
    "web_of_lies": _YES_NO,
    "sports_understanding": _YES_NO,
    "formal_fallacies": re.compile(r"\b(valid|invalid)\b"),
}
_LOWERED = ("web_of_lies", "sports_understanding")
_OPTION = re.compile(r"\([A-Z]\)")
LETTERED = (
    "date_understanding",
    "disambiguation_qa",
    "geometric_shapes",
    "hyperbaton",
    "logical_deduction_five_objects",
    "logical_deduction_seven_objects",
    "logical_deduction_three_objects",
    "movie_recommendation",
    "penguins_in_a_table",
    "reasoning_about_colored_objects",
    "ruin_names",
    "salient_translation_error_detection",
    "snarks",
    "temporal_sequences",
    "tracking_shuffled_objects_five_objects",
    "tracking_shuffled_objects_seven_objects",
    "tracking_shuffled_objects_three_objects",
)
TASKS = tuple(sorted((*LETTERED, *_WORDS)))


def prompt(question: str) -> str:
    """Return the prompt."""
    return f"Q: {question}\nA:"


def _pattern(task: str) -> re.Pattern[str]:
    return _WORDS.get(task, _OPTION)


def extracted(task: str, response: str) -> str:
    """Return the first answer of the task's kind in a response, else "[invalid]" ("flexible-extract")."""
    found = _pattern(task).search(response)
    return _cased(task, found[0]) if found else INVALID


def last_extracted(task: str, response: str) -> str:
    """Return the last answer of the task's kind in a response, else "[invalid]": for responses that explain first."""
    found = _pattern(task).findall(response)
    return _cased(task, found[-1]) if found else INVALID


def _cased(task: str, answer: str) -> str:
    return answer.lower() if task in _LOWERED else answer


_IGNORED = re.compile(r"[,'\"]|\.$")


def matches(found: str, target: str) -> bool:
    """Tell whether an answer is the target, but for case, commas, quotes and a final dot."""
    return _IGNORED.sub("", found.lower()) == _IGNORED.sub("", target.lower())
