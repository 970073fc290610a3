"""The wordings of the system messages: ours, or those of a user's file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from omnitrain.api import reading, user_path
from omnitrain.errors import DataError
from omnitrain_orca.paper.systems import SYSTEMS

_WANTED = '{"1": "", "2": "You are ...", ... "16": "..."}'


def read_systems(own: str | None = None) -> Mapping[int, str]:
    """Return the wording of every id. own: a .json file that replaces some of ours, or all.

    Raises DataError for a file that is none.
    """
    found = _checked("systems.json", json.loads((files(__package__) / "systems.json").read_text("utf-8")))
    if own is None:
        return found
    path = user_path(own)
    with reading(path, "a JSON object of system messages by id"):
        content = json.loads(path.read_text("utf-8-sig"))
    return {**found, **_checked(str(path), content)}


def _checked(place: str, content: Any) -> dict[int, str]:
    if not isinstance(content, dict):
        raise DataError(
            f"{place}: expected an object of system messages by id such as {_WANTED}, found {type(content).__name__}"
        )
    known = {str(number): number for number in SYSTEMS}
    for key, text in content.items():
        if key not in known:
            raise DataError(
                f"{place}: {key!r} is no id of a system message; they are {min(SYSTEMS)} to {max(SYSTEMS)}, as texts"
            )
        if not isinstance(text, str):
            raise DataError(f"{place}: the system message {key} is {type(text).__name__}; expected a text")
    return {known[key]: text for key, text in content.items()}
