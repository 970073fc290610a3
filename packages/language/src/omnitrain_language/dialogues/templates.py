"""From messages to the prompt ids of one model: every model may see a prompt of its own, written from the same messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omnitrain.errors import UsageError
from omnitrain_language.chat_templates import Message, rendered_chat
from omnitrain_language.dialogues.messages import Prompt, messages_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def check_template(template: str, where: str) -> None:
    """Refuse a template that is neither `plain`, `chat` nor a text with {prompt}.

    Raises UsageError.
    """
    if template not in ("plain", "chat") and template.count("{prompt}") != 1:
        raise UsageError(f"{where}: template {template!r} holds no {{prompt}}; write 'plain', 'chat' or a text with {{prompt}}")


def reply_text(before: str, text: str) -> str:
    """Return a reply as it stands behind a text: with a blank in front, unless the text ends with a blank or line end."""
    return f" {text}" if text and not before[-1:].isspace() else text


def prompt_text(messages: Sequence[Message], template: str) -> str:
    """Return messages as text: contents in lines for `plain`, else each user's message in the template, replies behind.

    A blank at the template's end belongs to the reply, of which it is part of the first word in most tokenizers.
    """
    if template == "plain":
        return "\n".join(m["content"] for m in messages)
    before, after = template.split("{prompt}")
    after = after.rstrip(" ")
    text = "\n".join(m["content"] for m in messages if m["role"] == "system")
    text += "\n" if text else ""
    for message in messages:
        if message["role"] == "user":
            text += f"{before}{message['content']}{after}"
        elif message["role"] == "assistant":
            text += f"{reply_text(text, message['content'])}\n"
    return text


def prompt_ids(prompt: Prompt, template: str, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return the ids of a prompt as a model with that template and tokenizer reads them, the start token in front.

    Raises UsageError for an empty prompt, and for `chat` where the tokenizer has no chat template.
    """
    messages = messages_of(prompt)
    if template == "chat":
        text = rendered_chat(messages, tokenizer, asks=True)
        return [int(i) for i in tokenizer(text, add_special_tokens=False).input_ids]
    ids: list[int] = tokenizer(prompt_text(messages, template)).input_ids
    eos = tokenizer.eos_token_id
    return ids[:-1] if len(ids) > 1 and ids[-1] == eos else ids
