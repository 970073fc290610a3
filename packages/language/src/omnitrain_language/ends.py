"""Which ids end a text: a chat model has several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omnitrain_language.chat_templates import turn_end

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


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
