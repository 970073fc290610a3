"""Read preference pairs from files in the forms that people have them in; malformed records are named by file and line.

The prompt is a text or messages, in `prompt` or `messages`, or is what both sides have in common at their beginning; `chosen`
and `rejected` are texts or messages: the response alone, or the whole dialogue with it. Texts of whole dialogues in the form
"\\n\\nHuman: ...\\n\\nAssistant: ..." are read as messages.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omnitrain_language.chat_templates import Message
from omnitrain_language.dialogues.messages import Prompt, joined_parts
from omnitrain_language.dialogues.records import message_fault
from omnitrain_language.folders import find_files
from omnitrain_language.records import RECORDS, Problems, file_records, text_fault

_log = logging.getLogger("omnitrain.language")
REFERENCES = ("reference_chosen", "reference_rejected")
_FIELDS = ("prompt", "messages", "chosen", "rejected", *REFERENCES)
_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


@dataclass(frozen=True)
class PreferenceRecord:
    """A prompt with a better and a worse response. key: by which splits are cut. references: stored log-probabilities of both
    responses. place: file and line, which are no part of what the record is."""

    prompt: Prompt
    chosen: str
    rejected: str
    key: str
    references: tuple[float, float] | None = None
    place: str = field(default="", repr=False)


class _Malformed(Exception):
    """What is wrong with a record, in words."""


def read_preferences(path: str, refuse: bool, stored: bool = False) -> Iterator[PreferenceRecord]:
    """Yield the sound pairs of .jsonl, .tsv and .parquet files.

    stored: each must hold `reference_chosen` and `reference_rejected`. Raises DataError where there is no file, and for
    malformed records where they are refused; without that they are left out, counted and named.
    """
    problems, shared, doubled = Problems(refuse), 0, 0
    for file in find_files(path, RECORDS):
        for number, record in file_records(file, _FIELDS, problems):
            present = {name: value for name, value in record.items() if value is not None}
            try:
                found = _preference(present, stored, f"{file}:{number}")
            except _Malformed as fault:
                problems.add(file, number, str(fault))
                continue
            shared += isinstance(found.prompt, str) and not {"prompt", "messages"} & set(present)
            doubled += isinstance(found.prompt, str) and all(t.startswith(found.prompt) for t in (found.chosen, found.rejected))
            yield found
        problems.file_ended()
    problems.pass_ended()
    _tell(path, shared, doubled)


def _tell(path: str, shared: int, doubled: int) -> None:
    """Tell what of the records was taken in a way that somebody may not mean."""
    if shared:
        _log.warning("%s: %d pairs name no prompt; the words that both sides begin with were taken for it", path, shared)
    if doubled:
        _log.warning(
            "%s: in %d pairs both sides begin with their prompt, which is read twice then; leave out the field of the prompt "
            "where the sides are whole texts",
            path,
            doubled,
        )


def _preference(record: Mapping[str, Any], stored: bool, place: str) -> PreferenceRecord:
    missing = next((name for name in ("chosen", "rejected") if name not in record), None)
    if missing:
        raise _Malformed(f"no field {missing!r}")
    chosen, rejected = (_side(record[name], name) for name in ("chosen", "rejected"))
    if isinstance(chosen, str) != isinstance(rejected, str):
        raise _Malformed("one side is a text and the other messages")
    prompt = _prompt(record)
    if isinstance(chosen, str) and isinstance(rejected, str):
        found, texts = (prompt, (chosen, rejected)) if prompt is not None else _in_common(chosen, rejected)
    else:
        found, texts = _of_messages(prompt, (chosen, rejected))  # type: ignore[arg-type]
    if texts[0] == texts[1]:
        raise _Malformed("chosen and rejected are equal")
    key = found if isinstance(found, str) else json.dumps(found, sort_keys=True)
    return PreferenceRecord(found, *texts, key, _references(record) if stored else None, place)


def _side(value: Any, name: str) -> str | list[Message]:
    value = joined_parts(value)
    fault = message_fault(value) if isinstance(value, list) else text_fault(value)
    if fault:
        raise _Malformed(f"{name}: {fault}")
    return value  # type: ignore[no-any-return]


def _prompt(record: Mapping[str, Any]) -> Prompt | None:
    """Return the prompt that a record names; `messages` that are one of the sides, a whole dialogue, are no prompt."""
    name = "prompt" if "prompt" in record else "messages"
    value = record.get(name)
    if value is None or value in (record["chosen"], record["rejected"]):
        return None
    value = joined_parts(value)
    fault = message_fault(value) if isinstance(value, list) else text_fault(value)
    if fault:
        raise _Malformed(f"{name}: {fault}")
    return value  # type: ignore[no-any-return]


def _of_messages(prompt: Prompt | None, sides: Sequence[Sequence[Message]]) -> tuple[Prompt, tuple[str, str]]:
    """Return prompt and responses of two sides that are messages: the responses alone, or dialogues with a common beginning."""
    if all(len(side) == 1 and side[0]["role"] == "assistant" for side in sides):
        if prompt is None:
            raise _Malformed("no prompt: neither 'prompt' nor 'messages', nor turns that both sides begin with")
        return prompt, (sides[0][0]["content"], sides[1][0]["content"])
    beginnings = [list(side[:-1]) for side in sides]
    if beginnings[0] != beginnings[1] or any(side[-1]["role"] != "assistant" for side in sides):
        raise _Malformed("the two sides differ in more than a last message of the assistant")
    begun = beginnings[0]
    if prompt is not None and not _agrees(prompt, begun):
        raise _Malformed("the prompt is another than the turns that both sides begin with")
    return begun, (sides[0][-1]["content"], sides[1][-1]["content"])


def _agrees(prompt: Prompt, begun: Sequence[Message]) -> bool:
    """Whether a prompt is the turns that both sides begin with, or a text that is one of them."""
    if not isinstance(prompt, str):
        return list(prompt) == list(begun)
    return any(message["content"] == prompt for message in begun)


def _in_common(chosen: str, rejected: str) -> tuple[Prompt, tuple[str, str]]:
    """Return the beginning that two texts have in common, ended at a blank, and what stands behind it."""
    dialogues = [_turns(text) for text in (chosen, rejected)]
    if all(dialogues):
        for name, turns in zip(("chosen", "rejected"), dialogues, strict=True):
            _side(turns, name)
        return _of_messages(None, dialogues)
    most = min(len(chosen), len(rejected))
    shared = chosen[: next((place for place in range(most) if chosen[place] != rejected[place]), most)]
    if shared in (chosen, rejected):
        raise _Malformed("one of the sides is empty behind what both begin with")
    end = max((place + 1 for place, character in enumerate(shared) if character.isspace()), default=0)
    prompt, texts = shared[:end].rstrip(), (chosen[end:], rejected[end:])
    if not prompt:
        raise _Malformed("no prompt: neither 'prompt' nor 'messages', nor words that both sides begin with")
    return prompt, texts


def _turns(text: str) -> list[Message]:
    """Return the turns of a text that begins with "\\n\\nHuman:", none of another text."""
    pieces = _TURN.split(text)
    if pieces[0].strip() or len(pieces) < 3:
        return []
    return [{"role": _ROLES[who], "content": said.strip()} for who, said in zip(pieces[1::2], pieces[2::2], strict=True)]


def _references(record: Mapping[str, Any]) -> tuple[float, float]:
    found = []
    for name in REFERENCES:
        value = record.get(name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(float(value)) or float(value) > 0:  # type: ignore[arg-type]
            raise _Malformed(f"{name} is {value!r}, no log-probability: expected a number of at most 0")
        found.append(float(value))  # type: ignore[arg-type]
    return found[0], found[1]
