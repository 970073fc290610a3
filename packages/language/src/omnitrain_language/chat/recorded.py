"""Answers of a file: lines of JSON {"messages": [...], "sample": 0, "text": "...", "finish": "stop"}."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omnitrain.api import shown, text_lines
from omnitrain.engine import file_digest, write_whole
from omnitrain.errors import DataError
from omnitrain_language.chat.budget import Budget
from omnitrain_language.chat.messages import Answer, Completion, Completions, Request, key_of


class Recorded:
    """Completes requests as a file says, whichever model wrote it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found = dict(_read(path))

    @property
    def identity(self) -> Mapping[str, Any]:
        """The content of the file."""
        return {"kind": "recorded", "sha256": file_digest(self._path)}

    def complete(self, requests: Sequence[Request], keys: Sequence[str], budget: Budget) -> Completions:
        """Yield what the file holds. Raises DataError for a request that it doesn't."""
        for place, request in enumerate(requests):
            found = self._found.get(key_of({}, request))
            if found is None:
                last = request.messages[-1]["content"]
                raise DataError(
                    f"{self._path} holds no answer to the messages that end with {shown(last)!r} (sample {request.sample}); "
                    "record it, or ask a model."
                )
            yield place, found


def record(path: Path, pairs: Iterable[tuple[Request, Answer]]) -> None:
    """Write requests and their completions as a file that `Recorded` reads."""
    lines = []
    for request, answer in pairs:
        messages = [dict(message) for message in request.messages]
        lines.append(json.dumps({"messages": messages, "sample": request.sample, **answer.completion.as_json()}) + "\n")
    write_whole(path, "".join(lines))


def _read(path: Path) -> Iterator[tuple[str, Completion]]:
    known: dict[str, int] = {}
    for number, line in text_lines(path):
        if not line.strip():
            continue
        request, completion = _parsed(f"{path}:{number}", line)
        key = key_of({}, request)
        if key in known:
            raise DataError(f"{path}:{number} answers the same messages and sample as line {known[key]}; remove one.")
        known[key] = number
        yield key, completion


def _parsed(place: str, line: str) -> tuple[Request, Completion]:
    wanted = '{"messages": [{"role": ..., "content": ...}], "text": ..., "finish": ...}'
    try:
        row = json.loads(line)
        messages = row["messages"]
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise TypeError("messages")
        request = Request(messages, int(row.get("sample", 0)))
        if not isinstance(row["text"], str) or not isinstance(row["finish"], str):
            raise TypeError("text or finish")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, DataError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{place} is no recorded answer ({shown(reason)}); expected {wanted}.") from error
    counts = {name: row.get(name) for name in ("prompt_tokens", "completion_tokens")}
    return request, Completion(row["text"], row["finish"], str(row.get("model", "")), **counts)
