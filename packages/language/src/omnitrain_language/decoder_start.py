"""What targets of an encoder-decoder begin with: the decoder's own start, and what the tokenizer puts in front of a text.

T5 starts from padding and puts nothing in front; BART starts from its end of text and puts "<s>" in front of inputs and
targets alike. Data ask the model that they are for; a new model takes what its data tell.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitrain.api import Context
from omnitrain.engine import explained_loading, find_pretrained, read_component
from omnitrain_language.encoding import start_ids
from omnitrain_language.tokenizers import pad_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def decoder_start(tokenizer: PreTrainedTokenizerFast, context: Context) -> int:
    """Return the id that the decoder starts from: of the model that the data are for, else, for a new one, padding."""
    found = None if context.model_source is None else _start_of(context.model_source)
    return pad_id(tokenizer) if found is None else found


def start_facts(tokenizer: PreTrainedTokenizerFast, start: int) -> dict[str, Any]:
    """Return what `belonging.check_start` compares: decoder_start_id and the ids in front of every target."""
    return {"decoder_start_id": start, "target_start_ids": start_ids(tokenizer)}


def _start_of(source: str) -> int | None:
    """Return decoder_start_token_id of a saved model, None where it has none."""
    from transformers import AutoConfig

    place = find_pretrained(source)
    folder = Path(place)
    if folder.is_dir() and not (folder / "config.json").is_file():
        # Adapters alone name their base.
        base = read_component(folder)["config"].get("path") if (folder / "component.json").is_file() else None
        return None if not base or Path(base) == folder else _start_of(str(base))
    if folder.is_dir():
        known = json.loads((folder / "config.json").read_text("utf-8"))
        if not known.get("is_encoder_decoder", True):
            return None
    with explained_loading(place):
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
    found = getattr(config, "decoder_start_token_id", None) if getattr(config, "is_encoder_decoder", False) else None
    return None if found is None else int(found)
