"""Whether a model and data belong together: the same ids mean the same tokens, and rows fit the model's positions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from omnitrain.api import Context
from omnitrain.errors import DataError, UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_identities: WeakKeyDictionary[Any, tuple[int, dict[str, Any]]] = WeakKeyDictionary()


def token_identity(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """Return what ids mean: {"ids", "digest", "added"}, plain values that a saved model keeps.

    ids: 1 + the highest. digest: of all tokens of the vocabulary proper with their ids. added: [id, token] of those that were
    added to it, in order.
    """
    known = _identities.get(tokenizer)
    if known is not None and known[0] == len(tokenizer):
        return known[1]
    backend = tokenizer.backend_tokenizer
    proper, every = backend.get_vocab(with_added_tokens=False), tokenizer.get_vocab()
    listed = "\0".join(f"{number} {token}" for token, number in sorted(proper.items(), key=lambda item: item[1]))
    identity = {
        "ids": 1 + max(every.values(), default=-1),
        "digest": hashlib.blake2b(listed.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest(),
        "added": sorted([number, token] for token, number in every.items() if proper.get(token) != number),
    }
    _identities[tokenizer] = len(tokenizer), identity
    return identity


def first_difference(model: Mapping[str, Any], data: Mapping[str, Any]) -> str | None:
    """Say where two identities differ, or return None; tokens that only one was given, in ids of their own, are free."""
    if model["digest"] != data["digest"]:
        return f"their vocabularies differ (the model's has {model['ids']} ids, the data's {data['ids']})"
    theirs = {int(number): token for number, token in model["added"]}
    for number, token in data["added"]:
        if theirs.get(number, token) != token:
            return f"id {number} is {theirs[number]!r} in the model's and {token!r} in the data's"
    return None


def check_tokenizers(name: str, model: Mapping[str, Any] | None, data: Mapping[str, Any] | None) -> None:
    """Refuse data whose ids mean other tokens than the model's. name: the model's, for the message. Raises DataError."""
    difference = None if model is None or data is None else first_difference(model, data)
    if difference is not None:
        raise DataError(
            f"{name} and the data have different tokenizers: {difference}; leave out the data's tokenizer.path and "
            "tokenizer.vocabulary_size, and the model's own tokenizer is taken"
        )


def positions_of(config: Any) -> int | None:
    """Return the longest row in tokens that a model is made for, None where there is no such limit (T5, ALiBi).

    Rotary positions have one too: beyond it nothing was trained, unless the config scales them.
    """
    limit = getattr(config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0 or getattr(config, "alibi", False):
        return None
    scaling = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    factor = scaling.get("factor") if isinstance(scaling, Mapping) else None
    if not factor or scaling.get("rope_type", "default") == "default":
        return limit
    return max(limit, int(factor * (scaling.get("original_max_position_embeddings") or limit)))


def check_length(config: Any, length: int, setting: str, new: bool = False) -> None:
    """Refuse rows that are longer than a model's positions.

    config: of transformers. setting: what decides about the length. new: whether the model's length is a setting too.
    Raises UsageError that names both settings.
    """
    limit = positions_of(config)
    if limit is None or length <= limit:
        return
    cure = "raise the model's max_length" if new else "take a model with more (max_position_embeddings in its config.json)"
    raise UsageError(
        f"rows of {length} tokens ({setting}) are longer than the model's {limit} positions: lower {setting} of the data, "
        f"or {cure}"
    )


def check_facts(model: Any, facts: Mapping[str, Any], new: bool = False) -> None:
    """Refuse data whose rows are too long for a model.

    facts: "positions" is the longest row, and "positions_setting" what decides about it. Raises UsageError.
    """
    if "positions" in facts:
        check_length(model.config, int(facts["positions"]), str(facts.get("positions_setting", "length")), new)


def check_start(model: Any, facts: Mapping[str, Any]) -> None:
    """Refuse data whose targets begin otherwise than the texts that the model writes. Raises UsageError."""
    if "decoder_start_id" not in facts or not getattr(model.config, "is_encoder_decoder", False):
        return
    wanted, found = model.config.decoder_start_token_id, facts["decoder_start_id"]
    if wanted is not None and wanted != found:
        raise UsageError(
            f"the data start the decoder from id {found}, the model from {wanted} (decoder_start_token_id): build the data in "
            "the stage of that model, so that they take its start"
        )
    forced = getattr(model.generation_config, "forced_bos_token_id", None)
    front = facts.get("target_start_ids") or [None]
    if forced is not None and forced != front[0]:
        raise UsageError(
            f"the model begins every text with id {forced} (forced_bos_token_id), the data's targets do not: take the "
            "model's own tokenizer, or remove forced_bos_token_id from its generation_config.json"
        )


def set_fit(model: Any, name: str, identity: Mapping[str, Any] | None) -> Any:
    """Give a model the ability `FitsData`. name: for messages. identity: of the tokenizer whose ids it knows."""
    model.fit_data = partial(_fit_data, model, name, identity)
    return model


def _fit_data(model: Any, name: str, identity: Mapping[str, Any] | None, context: Context, grow: bool) -> None:
    facts = context.facts
    check_tokenizers(name, identity, facts.get("tokens"))
    check_facts(model, facts)
    check_start(model, facts)
    rows, wanted = model.get_input_embeddings().weight.shape[0], int(facts.get("vocabulary_size", 0))
    adapted = hasattr(model, "peft_config")
    if wanted <= rows or (grow and facts.get("makes_rows") and not adapted):
        return
    certain = identity is not None and facts.get("tokens") is not None
    if not grow or not certain or adapted:
        raise UsageError(
            f"the data has {wanted} ids and {name} only {rows} rows of embeddings: leave out the data's tokenizer, and the "
            "model's own is taken; tokens are added where all weights are trained, or where the model is named by its path"
        )
    grow_rows(model, wanted, context)
    set_fit(model, name, facts["tokens"])


def grow_rows(model: Any, rows: int, context: Context) -> None:
    """Give a model rows of embeddings up to a number, drawn from the context's seed; the global generator stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed("weights"))
        model.resize_token_embeddings(rows, mean_resizing=False)
