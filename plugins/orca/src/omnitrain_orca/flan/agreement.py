"""Whether a response comes to the answer that FLAN's label gives."""

from __future__ import annotations

import re

_TOLD = re.compile(r"answer(?:\s+is|\s*:)\s*:?\s*", re.IGNORECASE)
_EDGES = " \t\n.,;:!?\"'()[]*"


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(_EDGES)


def agrees(response: str, target: str) -> bool:
    """Tell whether the label stands behind the last "answer is", else at the end of the response.

    Case, blanks and marks around it don't count. The paper keeps every response; this is for an option.
    """
    wanted = re.escape(_plain(target))
    if not wanted:
        return False
    told = list(_TOLD.finditer(response))
    if told:
        return re.match(rf"{wanted}(?!\w)", _plain(response[told[-1].end() :])) is not None
    return re.search(rf"(?<!\w){wanted}$", _plain(response)) is not None
