"""Whether an answer is right: the official denotations of WikiTableQuestions (evaluator 1.0.2), and TAPEX's string accuracy."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_SAME = 1e-6
_QUOTES = str.maketrans({**dict.fromkeys("‘’´`", "'"), **dict.fromkeys("“”", '"'), **dict.fromkeys("‐‑‒–—−", "-")})
_CITATIONS = re.compile(r"((?<!^)\[[^\]]*\]|\[\d+\]|[•♦†‡*#+])*$")
_DETAILS = re.compile(r"(?<!^)( \([^)]*\))*$")
_QUOTED = re.compile(r'^"([^"]*)"$')
_UNKNOWN = -1


@dataclass(frozen=True)
class Value:
    """normalized: the text as it is compared. amount: of a number. date: (year, month, day), -1 for what is unknown."""

    normalized: str
    amount: int | float | None = None
    date: tuple[int, int, int] | None = None

    def matches(self, other: Value) -> bool:
        """Whether two values are equal as texts, as numbers or as dates."""
        if self.normalized == other.normalized:
            return True
        if self.amount is not None and other.amount is not None:
            return abs(self.amount - other.amount) < _SAME
        return self.date is not None and self.date == other.date


def normalise(text: str) -> str:
    """Return a text without accents, trailing citations and details, outer quotes, a final dot, capitals, and wide blanks."""
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if unicodedata.category(c) != "Mn").translate(_QUOTES)
    while True:
        before = text
        text = _CITATIONS.sub("", text.strip())
        text = _DETAILS.sub("", text.strip())
        text = _QUOTED.sub(r"\1", text.strip())
        if text == before:
            break
    return re.sub(r"\s+", " ", text.removesuffix(".")).lower().strip()


def _number(text: str) -> int | float | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        found = float(text)
    except ValueError:
        return None
    if not math.isfinite(found):
        return None
    return round(found) if abs(found - round(found)) < _SAME else found


def _date(text: str) -> tuple[int, int, int] | None:
    parts = text.lower().split("-")
    if len(parts) != 3:
        return None
    try:
        year = _UNKNOWN if parts[0] in ("xx", "xxxx") else int(parts[0])
        month, day = (_UNKNOWN if part == "xx" else int(part) for part in parts[1:])
    except ValueError:
        return None
    known = (year, month, day) != (_UNKNOWN, _UNKNOWN, _UNKNOWN)
    fits = (month == _UNKNOWN or 1 <= month <= 12) and (day == _UNKNOWN or 1 <= day <= 31)
    return (year, month, day) if known and fits else None


def to_value(original: str, canon: str | None = None) -> Value:
    """Return what a text means. canon: its canonical form where the tagged data set has one."""
    text = canon or original
    normalized = normalise(original)
    amount = _number(text)
    if amount is not None:
        return Value(normalized, amount)
    date = _date(text)
    if date is not None and date[1:] == (_UNKNOWN, _UNKNOWN):
        return Value(normalized, date[0])
    return Value(normalized, None, date)


def _distinct(values: Sequence[Value]) -> list[Value]:
    return list(dict.fromkeys(values))


def denotes(target: Sequence[Value], predicted: Sequence[Value]) -> bool:
    """Whether as many different values are predicted as are right, and each right one matches one of them."""
    right, found = _distinct(target), _distinct(predicted)
    return len(right) == len(found) and all(any(value.matches(other) for other in found) for value in right)


def answers_of(prediction: str, gold: int) -> list[str]:
    """Return the answers in one predicted text: it is split at ", " only where more than one is right (OmniTab's change)."""
    text = prediction.strip()
    return text.split(", ") if gold > 1 else [text]


def correct(prediction: str, answers: Sequence[str], canon: Sequence[str | None] | None = None) -> bool:
    """Whether a predicted text is right under the official rules. canon: canonical forms of the answers."""
    forms = canon or [None] * len(answers)
    target = [to_value(answer, form) for answer, form in zip(answers, forms, strict=True)]
    return denotes(target, [to_value(answer) for answer in answers_of(prediction, len(answers))])


def string_accuracy(prediction: str, reference: str) -> float:
    """Return TAPEX's accuracy: 1.0 where both texts, split at ", ", hold the same numbers and strings, else 0.0.

    Case does not count. NaN is equal to nothing.
    """
    return float(_items(prediction) == _items(reference))


def _items(text: str) -> Counter[float | str]:
    found: Counter[float | str] = Counter()
    for item in text.lower().split(", "):
        try:
            number = float(item)
        except ValueError:
            found[item.strip()] += 1
        else:
            # A key of its own, so that no NaN is that of the other side.
            found[f"\0nan {id(found)}" if math.isnan(number) else number] += 1
    return found


def unescape(text: str) -> str:
    r"""Return a field of a WTQ file: \n is a line end, \p a pipe, \\ a backslash, undone in this order."""
    return text.replace("\\n", "\n").replace("\\p", "|").replace("\\\\", "\\")


def unescape_list(text: str) -> list[str]:
    """Return the items of a WTQ field that are parted by pipes."""
    return [unescape(item) for item in text.split("|")]
