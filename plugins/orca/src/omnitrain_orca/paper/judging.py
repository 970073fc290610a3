"""The judge's two scores (Vicuna's evaluation, which the paper reuses)."""

from __future__ import annotations

from collections.abc import Mapping

_NUMBERS = 2
ASKED = (
    "You grade answers of two assistants to the question of a user, for how helpful, relevant, exact and detailed they are."
    " Give each a score from 1 to 10, a higher one for a better answer. Write one line first that holds nothing but the two"
    " scores, that of assistant 1 and that of assistant 2, with a blank in between. Explain them in the lines behind it, and"
    " let neither the order of the answers nor their length decide."
)


def judged_scores(text: str) -> tuple[float, float] | None:
    """Return the two scores on the first line of a judge's text, None where they can't be read.

    Commas count as blanks; two blanks in a row are one too many.
    """
    parts = text.partition("\n")[0].replace(",", " ").split(" ")
    if len(parts) != _NUMBERS:
        return None
    try:
        return float(parts[0]), float(parts[1])
    except ValueError:
        return None


def asked(question: str, first: str, second: str) -> list[Mapping[str, str]]:
    """Return the messages that a judge gets."""
    content = f"[Question]\n{question}\n\n[Assistant 1]\n{first}\n\n[Assistant 2]\n{second}"
    return [{"role": "system", "content": ASKED}, {"role": "user", "content": content}]
