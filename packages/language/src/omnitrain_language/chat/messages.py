"""Requests to a language model, its answers, and the key under which an answer is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from omnitrain.errors import DataError
from omnitrain_language.chat.budget import Budget
from omnitrain_language.chat_templates import Message

UNKNOWN = "unknown"
"""The finish of an answer that came without a reason why it ended."""


@dataclass(frozen=True)
class Request:
    """What a model is asked. sample: number of the answer among several to the same messages."""

    messages: Sequence[Message]
    sample: int = 0

    def __post_init__(self) -> None:
        if not self.messages:
            raise DataError("a request has no message: give at least one of the user")
        for message in self.messages:
            if not isinstance(message.get("role"), str) or not isinstance(message.get("content"), str):
                raise DataError(f"a message needs the texts 'role' and 'content'; found {sorted(message)}")

    @property
    def bytes(self) -> int:
        """Bytes of the text, with roles."""
        return sum(len(m["content"].encode("utf-8", "surrogatepass")) + len(m["role"]) for m in self.messages)


def ask_for(text: str, system: str = "", sample: int = 0) -> Request:
    """Return a request of one message of the user, behind a system message where there is one."""
    before = [{"role": "system", "content": system}] if system else []
    return Request([*before, {"role": "user", "content": text}], sample)


@dataclass(frozen=True)
class Completion:
    """What a model wrote, whatever became of it: what is kept.

    finish: why it ended, in OpenAI's words ("stop", "length", "content_filter"), "unknown" where nothing tells. model: its
    name as the server gives it. tokens: of prompt and answer, None where nothing tells. cost: what was paid for it.
    """

    text: str
    finish: str
    model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Answer:
    """text: the answer, None for a completion whose finish is not one that settings take as an answer."""

    text: str | None
    completion: Completion = field(repr=False)

    @property
    def finish(self) -> str:
        """Why the completion ended."""
        return self.completion.finish


Completions = Generator[tuple[int, Completion], None, None]


class Backend(Protocol):
    """What completes requests.

    identity: all that its completions depend on besides messages and sample, as plain values: model and settings.
    """

    @property
    def identity(self) -> Mapping[str, Any]: ...

    def complete(self, requests: Sequence[Request], keys: Sequence[str], budget: Budget) -> Completions:
        """Yield (place in requests, completion) as they are done, in any order; what is paid is yielded before an error."""


def key_of(identity: Mapping[str, Any], request: Request) -> str:
    """Return the digits under which a completion is kept: of model, settings, messages and sample."""
    messages = [dict(message) for message in request.messages]
    content = json.dumps([dict(identity), messages, request.sample], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
