"""Read dialogues and preferences from .jsonl files; malformed records are named by file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnitrain_language.dialogues.messages import Prompt
from omnitrain_language.folders import find_files
from omnitrain_language.records import Problems, json_records, text_fault

SUFFIXES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class DialogueRecord:
    """key: by which splits are cut."""

    prompt: Prompt
    reply: str
    key: str


@dataclass(frozen=True)
class PreferenceRecord:
    """A prompt with a better and a worse reply."""

    prompt: Prompt
    chosen: str
    rejected: str
    key: str


def _records(path: str, problems: Problems) -> Iterator[tuple[Path, int, Mapping[str, Any]]]:
    for file in find_files(path, SUFFIXES):
        for number, record in json_records(file, problems):
            yield file, number, record
        problems.file_ended()


def _message_fault(messages: Any) -> str | None:
    if not isinstance(messages, list) or not messages:
        return "'messages' is no list of {role, content}"
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            return "a message has no 'role'"
        fault = text_fault(message.get("content"))
        if fault:
            return f"a message's content: {fault}"
    return None


def _dialogue(record: Mapping[str, Any], needs_reply: bool) -> DialogueRecord | str:
    """Return the dialogue of a record, or what is wrong with it."""
    if "messages" in record:
        messages = record["messages"]
        fault = _message_fault(messages)
        if fault:
            return fault
        reply = record.get("reference")
        if reply is None and messages[-1]["role"] == "assistant":
            messages, reply = messages[:-1], messages[-1]["content"]
        if not messages:
            return "'messages' holds a reply only"
        key = json.dumps(messages, sort_keys=True)
    elif "prompt" in record:
        messages, reply = record["prompt"], record.get("reference")
        fault = text_fault(messages)
        if fault:
            return f"prompt: {fault}"
        key = messages
    else:
        return "neither 'messages' nor 'prompt'"
    if reply is None and not needs_reply:
        reply = ""
    elif reply is None:
        return "no reply: neither 'reference' nor a last message of the assistant"
    elif fault := text_fault(reply):
        return f"reply: {fault}"
    return DialogueRecord(messages, reply, key)


def read_dialogues(path: str, refuse: bool, needs_reply: bool = True) -> Iterator[DialogueRecord]:
    """Yield the sound records of .jsonl files.

    Raises DataError where there is no file, and for malformed records where they are refused.
    """
    problems = Problems(refuse)
    for file, number, record in _records(path, problems):
        found = _dialogue(record, needs_reply)
        if isinstance(found, str):
            problems.add(file, number, found)
        else:
            yield found
    problems.file_ended()
    problems.pass_ended()


def read_preferences(path: str, refuse: bool) -> Iterator[PreferenceRecord]:
    """Yield the sound records {prompt, chosen, rejected} of .jsonl files; raises as `read_dialogues` does."""
    problems = Problems(refuse)
    for file, number, record in _records(path, problems):
        missing = next((f"no field {name!r}" for name in ("prompt", "chosen", "rejected") if name not in record), None)
        fault = missing or next((f for name in ("chosen", "rejected") if (f := text_fault(record[name]))), None)
        if fault is None:
            prompt = record["prompt"]
            fault = text_fault(prompt) if isinstance(prompt, str) else _message_fault(prompt)
        if fault:
            problems.add(file, number, fault)
        else:
            prompt = record["prompt"]
            key = prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True)
            yield PreferenceRecord(prompt, record["chosen"], record["rejected"], key)
    problems.file_ended()
    problems.pass_ended()
