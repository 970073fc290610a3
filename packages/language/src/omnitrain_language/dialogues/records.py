"""Read dialogues from files; malformed records are named by file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omnitrain_language.dialogues.messages import Prompt, joined_parts
from omnitrain_language.folders import find_files
from omnitrain_language.records import RECORDS, Problems, file_records, text_fault

MESSAGES = "messages"


@dataclass(frozen=True)
class Columns:
    """Where a record has what: its prompt and reply, a system message in front, the name of its split.

    A record with `messages` has its prompt and, where the reply's field is absent, its reply there.
    """

    prompt: str = "prompt"
    reply: str = "reference"
    system: str | None = None
    split: str | None = None

    @property
    def names(self) -> list[str]:
        """All fields that are read."""
        return [name for name in (MESSAGES, self.prompt, self.reply, self.system, self.split) if name is not None]


@dataclass(frozen=True)
class DialogueRecord:
    """key: by which splits are cut. split: as the record names it, else "". place: file and line."""

    prompt: Prompt
    reply: str
    key: str
    split: str = ""
    place: str = ""


def message_fault(messages: Any) -> str | None:
    """Say why a value is no list of messages, or None."""
    if not isinstance(messages, list) or not messages:
        return "no list of messages {role, content}"
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            return "a message has no 'role'"
        if isinstance(message.get("content"), list):
            return "a message's content: a list of parts that are not all {type: text, text}"
        fault = text_fault(message.get("content"))
        if fault:
            return f"a message's content: {fault}"
    return None


def _asked(record: Mapping[str, Any], columns: Columns) -> tuple[Prompt, Any, str] | str:
    """Return (prompt, reply or None, key) of a record, or what is wrong with it."""
    reply = record.get(columns.reply)
    if record.get(MESSAGES) is not None:
        messages = joined_parts(record[MESSAGES])
        fault = message_fault(messages)
        if fault:
            return fault
        if reply is None and messages[-1]["role"] == "assistant":
            messages, reply = messages[:-1], messages[-1]["content"]
        if not messages:
            return "'messages' holds a reply only"
        return messages, reply, json.dumps(messages, sort_keys=True)
    if columns.prompt not in record:
        return f"neither 'messages' nor {columns.prompt!r}"
    prompt = record[columns.prompt]
    if fault := text_fault(prompt):
        return f"{columns.prompt}: {fault}"
    return prompt, reply, prompt


def _with_system(prompt: Prompt, record: Mapping[str, Any], columns: Columns) -> Prompt | str | None:
    """Return the prompt behind the system message of a record, if it has one; None where that is no text."""
    system = None if columns.system is None else record.get(columns.system)
    if system is None or system == "":
        return prompt
    if text_fault(system):
        return None
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return [{"role": "system", "content": system}, *messages]


def dialogue_of(record: Mapping[str, Any], columns: Columns, needs_reply: bool, place: str = "") -> DialogueRecord | str:
    """Return the dialogue of a record, or what is wrong with it."""
    found = _asked(record, columns)
    if isinstance(found, str):
        return found
    prompt, reply, key = found
    if reply is None and needs_reply:
        return f"no reply: neither {columns.reply!r} nor a last message of the assistant"
    if reply is not None and (fault := text_fault(reply)):
        return f"reply: {fault}"
    whole = _with_system(prompt, record, columns)
    if whole is None:
        return f"{columns.system}: {text_fault(record[str(columns.system)])}"
    split = "" if columns.split is None else record.get(columns.split)
    if columns.split is not None and (fault := text_fault(split)):
        return f"{columns.split}: {fault}"
    return DialogueRecord(whole, reply or "", key, str(split), place)


def read_dialogues(
    path: str, refuse: bool, needs_reply: bool = True, columns: Columns | None = None
) -> Iterator[DialogueRecord]:
    """Yield the sound records of .jsonl, .tsv and .parquet files.

    Raises DataError where there is no file, and for malformed records where they are refused.
    """
    columns = columns or Columns()
    problems = Problems(refuse)
    for file in find_files(path, RECORDS):
        for number, record in file_records(file, columns.names, problems):
            found = dialogue_of(record, columns, needs_reply, f"{file}:{number}")
            if isinstance(found, str):
                problems.add(file, number, found)
            else:
                yield found
        problems.file_ended()
    problems.pass_ended()
