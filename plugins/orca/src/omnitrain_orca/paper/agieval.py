"""AGIEval's zero-shot rules of English multiple choice (ruixiangcui/AGIEval), as the paper uses them."""

from __future__ import annotations

import re
from collections.abc import Sequence

TASKS = ("aqua-rat", "logiqa-en", "lsat-ar", "lsat-lr", "lsat-rc", "sat-math", "sat-en", "sat-en-without-passage")
LETTERS = "ABCDEF"
INVALID = ""
_FIRST = re.compile(r"[A-F]")


def prompt(passage: str | None, question: str, options: Sequence[str]) -> str:
    """Return the prompt. options: with their letters in front, such as "(A)450 gms"."""
    last = chr(ord("A") + len(options) - 1)
    asked = f"Q: {question} Answer Choices: {' '.join(options)}"
    return f"{passage or ''}{asked}\nA: Among A through {last}, the answer is"


def first_letter(response: str) -> str:
    """Return the first capital letter from A to F anywhere in a response, else "".

    "Because ..." gives B: what explains before it answers loses by it, see `tolerant_letter`.
    """
    found = _FIRST.search(response)
    return found[0] if found else INVALID


_ANSWER = re.compile(r"answer\s*(?:is|:|would be|must be)?\s*:?\s*\(?([A-F])\b")
_STANDING = re.compile(r"\(([A-F])\)|(?<![\w'])([B-F])(?![\w'])|(?<![\w'])(A)(?=[.):,;]|\s*$)")


def tolerant_letter(response: str) -> str:
    """Return the letter that a response that explains itself ends with, else "".

    The last one behind the word "answer", else the last one that stands alone or in parentheses. A rule of ours.
    """
    told = _ANSWER.findall(response)
    if told:
        return str(told[-1])
    standing = [next(filter(None, groups)) for groups in _STANDING.findall(response)]
    return standing[-1] if standing else INVALID
