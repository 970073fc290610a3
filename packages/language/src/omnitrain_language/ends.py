"""Which ids end a text: a chat model has several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omnitrain_language.encoding import special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_REPLY = "reply"


def end_ids(tokenizer: PreTrainedTokenizerFast, *models: Any) -> list[int]:
    """Return the tokenizer's end of sequence and behind it the others: of models' generation settings, of a chat's turn."""
    found = [int(tokenizer.eos_token_id)]
    for model in models:
        configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
        named = configured if isinstance(configured, list | tuple) else [configured]
        rows = getattr(getattr(model, "config", None), "vocab_size", None)
        found += [int(i) for i in named if i is not None and (rows is None or i < rows)]
    turn = turn_end(tokenizer)
    return list(dict.fromkeys(found if turn is None else [*found, turn]))


def turn_end(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """Return the special token behind a reply in the tokenizer's chat template, None where there is no such."""
    if not getattr(tokenizer, "chat_template", None):
        return None
    from jinja2 import TemplateError

    messages = [{"role": "user", "content": "prompt"}, {"role": "assistant", "content": _REPLY}]
    try:
        text = str(tokenizer.apply_chat_template(messages, tokenize=False))
    except (TemplateError, ValueError, TypeError):
        # A template that needs more than a prompt and a reply tells nothing here.
        return None
    special = special_ids(tokenizer)
    ids = tokenizer(text.rpartition(_REPLY)[2], add_special_tokens=False).input_ids
    return next((int(i) for i in ids if i in special), None)
