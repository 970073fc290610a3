"""From messages to the prompt ids of one model: every model may see a prompt of its own, written from the same messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from omnitrain.errors import UsageError
from omnitrain_language.chat_templates import Message, begun_chat, rendered_chat
from omnitrain_language.dialogues.messages import Prompt, messages_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def check_template(template: str, where: str, names: Collection[str] = ()) -> None:
    """Refuse a template that is neither `plain`, `chat`, one of the names nor a text with {prompt}.

    Raises UsageError.
    """
    if template not in ("plain", "chat", *names) and template.count("{prompt}") != 1:
        named = "".join(f"'{name}', " for name in names)
        raise UsageError(
            f"{where}: template {template!r} holds no {{prompt}}; write 'plain', 'chat', {named}or a text with {{prompt}}"
        )


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


def begun_text(messages: Sequence[Message], template: str) -> str:
    """Return messages as text, the last of which, of the assistant, is to be gone on with."""
    asked = prompt_text(messages[:-1], template)
    return asked + reply_text(asked, messages[-1]["content"])


def prompt_ids(prompt: Prompt, template: str, tokenizer: PreTrainedTokenizerFast, continues: bool = False) -> list[int]:
    """Return the ids of a prompt as a model with that template and tokenizer reads them, the start token in front.

    continues: the last message is the beginning of a reply, which the model goes on with; else a reply is asked for.
    Raises UsageError for an empty prompt, for `chat` where the tokenizer has no chat template, and for a prompt without the
    beginning that is to be continued; DataError where a chat template writes that beginning in another way.
    """
    messages = messages_of(prompt)
    if continues and (len(messages) < 2 or messages[-1]["role"] != "assistant"):
        raise UsageError(
            "a reply is to be gone on with, and the prompt does not end with a message of the assistant: add "
            "{'role': 'assistant', 'content': its beginning} behind what it replies to"
        )
    if template == "chat":
        text = begun_chat(messages, tokenizer) if continues else rendered_chat(messages, tokenizer, asks=True)
        return [int(i) for i in tokenizer(text, add_special_tokens=False).input_ids]
    ids: list[int] = tokenizer(begun_text(messages, template) if continues else prompt_text(messages, template)).input_ids
    eos = tokenizer.eos_token_id
    return ids[:-1] if len(ids) > 1 and ids[-1] == eos else ids
