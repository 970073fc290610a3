"""What a server's reply means: a completion, another try, or the end of the job."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from omnitrain.api import shown
from omnitrain_language.chat.advice import by_status, words
from omnitrain_language.chat.backoff import retry_after
from omnitrain_language.chat.messages import UNKNOWN, Completion
from omnitrain_language.chat.wire import Response

_BUSY = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_ENDED = {"content_filter": "content_filter", "content_policy_violation": "content_filter"}
_ENDED["context_length_exceeded"] = "context_length"


@dataclass(frozen=True)
class Again:
    """Try again. after_s: what the server asks to wait. all: whether other requests shall wait too. limited: whether the
    server found it above a limit. advice: what a user can do when no further try is left."""

    reason: str
    advice: str
    after_s: float | None = None
    all: bool = False
    limited: bool = False


@dataclass(frozen=True)
class Fault:
    """No further try helps. advice: what a user can do."""

    reason: str
    advice: str


Outcome = Completion | Again | Fault


def outcome_of(response: Response) -> Outcome:
    """Read a reply in OpenAI's form."""
    content = _json(response.body)
    if response.status == 200:
        found = _completion(content)
        return found if found is not None else Again("HTTP 200 without a completion in OpenAI's form", by_status(200))
    error = content.get("error") if isinstance(content, dict) else None
    error = error if isinstance(error, dict) else {}
    code = next((str(error[name]) for name in ("code", "type") if isinstance(error.get(name), str)), "")
    if response.status in (400, 413, 422) and code in _ENDED:
        return Completion("", _ENDED[code])
    said = f"HTTP {response.status}{f' {code}' if code else ''}"
    if text := words(content, response.body):
        said += f": {text}"
    advice = by_status(response.status, code)
    if 300 <= response.status < 400:
        return Fault(f"{said}, it sends on to {shown(response.headers.get('location', 'nowhere'))}", advice)
    if response.status in _BUSY and code != "insufficient_quota":
        return Again(said, advice, retry_after(response.headers), response.status in (429, 503, 529), response.status == 429)
    return Fault(said, advice)


def _completion(content: Any) -> Completion | None:
    try:
        choice = content["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        finish = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    if not isinstance(text, str | None) or not isinstance(finish, str | None):
        return None
    if text is None and refusal is None and finish is None:
        return None
    usage = content.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Completion(
        text or "",
        "refusal" if refusal else finish or UNKNOWN,
        str(content.get("model") or ""),
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
