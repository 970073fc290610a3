"""What a model's own generation_config says, and how it gives way to settings that somebody asks for.

One rule: what is asked for counts, else what is saved with the model, else greedy texts of at most 64 tokens. Drawing and
searching exclude each other, so that whoever asks for beams takes no saved temperature, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omnitrain_language.generating import generating_model
from omnitrain_language.sampling import GenerationSettings

_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "transformers_version", "_from_model_config")
_WITHOUT_EFFECT = ("use_cache", "max_length", "num_return_sequences", "do_sample")
# Ways to draw, to search and to hand results back that our own settings stand for or that are never taken.
NOT_TAKEN = (
    *(
        "min_p",
        "top_h",
        "typical_p",
        "epsilon_cutoff",
        "eta_cutoff",
        "penalty_alpha",
        "dola_layers",
        "prompt_lookup_num_tokens",
    ),
    *("num_beam_groups", "diversity_penalty", "max_time", "return_dict_in_generate", "output_scores", "output_logits"),
    *("output_attentions", "output_hidden_states", "num_return_sequences"),
)
_NEUTRAL: Mapping[str, Any] = {"num_beams": 1, "length_penalty": 1.0, "repetition_penalty": 1.0}
_DRAWN: Mapping[str, float] = {"temperature": 1.0, "top_k": 50, "top_p": 1.0}


def saved_settings(model: Any) -> dict[str, Any]:
    """Return what the generation_config of a model says beside its ids, as plain values; nothing for other models."""
    base = generating_model(model)
    return {} if base is None else read_saved(base.generation_config.to_diff_dict())


def read_saved(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a generation_config, as its file has it, what decides about texts."""
    ignored = {*_IDS, *_WITHOUT_EFFECT, *_DRAWN}
    found = {
        name: value
        for name, value in sorted(config.items())
        if name not in ignored and value is not None and _NEUTRAL.get(name) != value
        # Nothing but an id means something where it is 0 or false.
        if value or name.endswith("_token_id")
    }
    if not config.get("do_sample"):
        return found
    # Whoever saves do_sample means transformers' own values where it saves none.
    return {name: _DRAWN[name] if config.get(name) is None else config[name] for name in _DRAWN} | found


def describe_saved(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details of an event that tells what a model brings; empty where that is nothing."""
    taken = {name: value for name, value in saved.items() if name not in NOT_TAKEN}
    left = sorted(set(saved) & set(NOT_TAKEN))
    note = {"note": "taken where no other value is set"} if taken else {}
    return {**taken, **note, **({"not_taken": ", ".join(left)} if left else {})}


def chosen_settings(saved: Mapping[str, Any], asked: Mapping[str, Any], banned_ids: Sequence[int] = ()) -> GenerationSettings:
    """Return settings of generation. saved: of the model. asked: by name, None for what nobody asked for.

    Raises UsageError for values that mean nothing.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    taken = ["max_new_tokens", "min_new_tokens", "no_repeat_ngram_size"]
    if given.get("num_beams", 1) == 1:
        taken += _DRAWN
    if not given.get("temperature"):
        taken += ["num_beams", "length_penalty", "early_stopping"]
    own = {name: saved[name] for name in taken if name in saved}
    stop = saved.get("stop_strings") or ()
    own["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)
    return GenerationSettings(**{**own, **given}, banned_ids=list(banned_ids))
