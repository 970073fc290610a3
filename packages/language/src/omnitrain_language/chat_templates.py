"""Dialogues in the chat template of a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from omnitrain.errors import DataError, UsageError
from omnitrain_language.encoding import special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Message = Mapping[str, str]
_REPLY = "reply"


def rendered_chat(messages: Sequence[Message], tokenizer: PreTrainedTokenizerFast, asks: bool) -> str:
    """Return messages in the tokenizer's chat template. asks: with the beginning of a reply behind them.

    Raises UsageError where the tokenizer has none, DataError where it refuses the messages.
    """
    from jinja2 import TemplateError

    if not getattr(tokenizer, "chat_template", None):
        raise UsageError("template chat: the tokenizer has no chat template; write a text with {prompt} instead")
    try:
        return str(tokenizer.apply_chat_template(list(messages), add_generation_prompt=asks, tokenize=False))
    except (TemplateError, TypeError, ValueError) as error:
        roles = ", ".join(message["role"] for message in messages)
        raise DataError(f"template chat: the tokenizer's chat template refuses messages of {roles}: {error}") from error


def begun_chat(messages: Sequence[Message], tokenizer: PreTrainedTokenizerFast) -> str:
    """Return messages in the tokenizer's chat template, the last of which, a reply, is to be gone on with.

    Raises as `rendered_chat` does, and DataError for a template that writes a reply in another way than it asks for it.
    """
    asked = rendered_chat(messages[:-1], tokenizer, asks=True)
    begun = asked + messages[-1]["content"]
    if not rendered_chat(messages, tokenizer, asks=False).startswith(begun.rstrip()):
        raise DataError(
            "template chat: this tokenizer's chat template writes a reply in another way than it asks for it (it asks with "
            f"{asked[-40:]!r}), so that a begun reply can't be gone on with: give the tokenizer another chat template, or the "
            "template as a text with {prompt}"
        )
    return begun


def turn_end(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """Return the special token behind a reply in the tokenizer's chat template, None where there is no such."""
    if not getattr(tokenizer, "chat_template", None):
        return None
    messages = [{"role": "user", "content": "prompt"}, {"role": "assistant", "content": _REPLY}]
    try:
        text = rendered_chat(messages, tokenizer, asks=False)
    except DataError:
        # A template that needs more than a prompt and a reply tells nothing here.
        return None
    _, shown, behind = text.rpartition(_REPLY)
    if not shown:
        return None
    special = special_ids(tokenizer)
    ids = tokenizer(behind, add_special_tokens=False).input_ids
    return next((int(i) for i in ids if i in special), None)
