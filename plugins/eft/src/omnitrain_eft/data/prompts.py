"""From messages to the prompt ids of one model: every model may see a prompt of its own, written from the same messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omnitrain.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Message = Mapping[str, str]
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


def check_template(template: str, where: str) -> None:
    """Refuse a template that is neither `plain`, `chat` nor a text with {prompt}.

    Raises UsageError.
    """
    if template not in ("plain", "chat") and template.count("{prompt}") != 1:
        raise UsageError(f"{where}: template {template!r} holds no {{prompt}}; write 'plain', 'chat' or a text with {{prompt}}")


def render(messages: Sequence[Message], template: str) -> str:
    """Return messages as text: contents in lines for `plain`, else each user's message in the template, replies behind."""
    if template == "plain":
        return "\n".join(m["content"] for m in messages)
    before, after = template.split("{prompt}")
    parts: list[str] = []
    system = "\n".join(m["content"] for m in messages if m["role"] == "system")
    if system:
        parts.append(f"{system}\n")
    for message in messages:
        if message["role"] == "user":
            parts.append(f"{before}{message['content']}{after}")
        elif message["role"] == "assistant":
            parts.append(f" {message['content']}\n")
    return "".join(parts)


def prompt_ids(prompt: Prompt, template: str, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return the ids of a prompt as a model with that template and tokenizer reads them, the start token in front.

    Raises UsageError for an empty prompt, and for `chat` where the tokenizer has no chat template.
    """
    messages = messages_of(prompt)
    if template == "chat":
        if not getattr(tokenizer, "chat_template", None):
            raise UsageError("template chat: the tokenizer has no chat template; write a text with {prompt} instead")
        found: Any = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
        return [int(i) for i in found]
    ids: list[int] = tokenizer(render(messages, template)).input_ids
    eos = tokenizer.eos_token_id
    return ids[:-1] if len(ids) > 1 and ids[-1] == eos else ids
