"""Prompts as messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


def joined_parts(messages: Any) -> Any:
    """Return messages whose content is a list of parts {type: text, text} with these as one text, as chat templates join them.

    Anything else is returned as it is, for `records.message_fault` to name.
    """
    if not isinstance(messages, list):
        return messages
    return [{**m, "content": _joined(m["content"])} if isinstance(m, dict) and "content" in m else m for m in messages]


def _joined(content: Any) -> Any:
    if not isinstance(content, list) or not content:
        return content
    texts = [part["text"] for part in content if isinstance(part, dict) and part.get("type") == "text" and "text" in part]
    whole = len(texts) == len(content) and all(isinstance(text, str) for text in texts)
    return "".join(texts) if whole else content
