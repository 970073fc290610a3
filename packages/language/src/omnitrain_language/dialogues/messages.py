"""Prompts as messages."""

from __future__ import annotations

from collections.abc import Sequence

from omnitrain.errors import UsageError
from omnitrain_language.chat_templates import Message

Prompt = str | Sequence[Message]


def messages_of(prompt: Prompt) -> list[dict[str, str]]:
    """Return a prompt as messages; a text is one message of the user.

    Raises UsageError for an empty prompt or a message without role and content.
    """
    found = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(m) for m in prompt]
    if not found or not any(str(m.get("content", "")).strip() for m in found):
        raise UsageError("a prompt is empty: give some text to continue")
    for message in found:
        if not isinstance(message.get("content"), str) or not isinstance(message.get("role"), str):
            raise UsageError(f"a message needs the texts 'role' and 'content'; found {sorted(message)}")
    return found
