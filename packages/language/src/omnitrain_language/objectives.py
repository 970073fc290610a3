"""Objectives `language/seq2seq-nll`, `language/causal-nll` and `language/preference`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from omnitrain.api import Batch, Context, Fields, Loss, Part
from omnitrain.errors import UsageError
from omnitrain_language.configs.objectives import CausalNllConfig, NllConfig, PreferenceConfig, Seq2SeqNllConfig
from omnitrain_language.losses import parts_by_group, token_cross_entropy, weighted_sum
from omnitrain_language.masks import DECODER_FIELDS, SEQ2SEQ_FIELDS, check_masks
from omnitrain_language.preferences.objective import Preference, preference

SEQ2SEQ_NEEDS: Fields = {
    "input_ids": "int64[batch, input_length]",
    "attention_mask": "bool[batch, input_length]?",
    "decoder_input_ids": "int64[batch, target_length]",
    "labels": "int64[batch, target_length]",
    "loss_weights": "float32[batch, target_length]",
    "input_segment_ids": "int64[batch, input_length]?",
    "target_segment_ids": "int64[batch, target_length]?",
}
CAUSAL_NEEDS: Fields = {
    "input_ids": "int64[batch, length]",
    "labels": "int64[batch, length]",
    "loss_weights": "float32[batch, length]",
    "attention_mask": "bool[batch, length]?",
    "prefix_mask": "bool[batch, length]?",
    "segment_ids": "int64[batch, length]?",
    "position_ids": "int64[batch, length]?",
}
_SEQ2SEQ_INPUTS = ("input_ids", "attention_mask", "decoder_input_ids", *SEQ2SEQ_FIELDS)
_CAUSAL_INPUTS = ("input_ids", "attention_mask", "position_ids", *DECODER_FIELDS)


def model_inputs(batch: Batch) -> dict[str, Tensor]:
    """Return the fields of a batch that a model built by this package is called with."""
    names = _SEQ2SEQ_INPUTS if "decoder_input_ids" in batch else _CAUSAL_INPUTS
    return {name: batch[name] for name in names if name in batch}


def group_names(group: str | None, facts: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of the groups of a batch field: `facts["group_names"][field]`.

    Without any facts, before the data was prepared, there are no names yet. Raises UsageError where the data names none.
    """
    if group is None or not facts:
        return ()
    known: Mapping[str, Sequence[str]] = facts.get("group_names", {})
    if group not in known:
        raise UsageError(f"group: the data names no groups for {group!r}; it names {', '.join(known) or 'none'}")
    return known[group]


class TokenNll:
    """Sum of token cross entropy x loss_weights; the weight is the sum of loss_weights (zero gives a zero loss)."""

    def __init__(self, config: NllConfig, needs: Fields, names: Sequence[str]) -> None:
        self.config = config
        self.needs: Fields = needs if config.group is None else {**needs, config.group: "int"}
        self._names = names
        self._checked = False

    def __call__(self, model: nn.Module, batch: Batch, /) -> Loss:
        """Return the loss of a batch; with a regulariser or groups, also the plain nll as parts."""
        if not self._checked:
            check_masks(model, batch)
            self._checked = True
        config = self.config
        logits = model(**model_inputs(batch), use_cache=False).logits
        weights = batch["loss_weights"]
        loss, nll = token_cross_entropy(logits, batch["labels"], config.label_smoothing, config.z_loss)
        weight = weights.sum()
        parts: dict[str, Part] = {}
        if loss is not nll:
            parts["nll"] = Part(weighted_sum(nll.detach(), weights), weight)
        if config.group is not None:
            parts |= parts_by_group(nll, weights, batch[config.group], self._names)
        return Loss(weighted_sum(loss, weights), weight, parts)


def build_seq2seq(config: Seq2SeqNllConfig, context: Context) -> TokenNll:
    """Make the objective `language/seq2seq-nll`."""
    return TokenNll(config, SEQ2SEQ_NEEDS, group_names(config.group, context.facts))


def build_causal(config: CausalNllConfig, context: Context) -> TokenNll:
    """Make the objective `language/causal-nll`."""
    return TokenNll(config, CAUSAL_NEEDS, group_names(config.group, context.facts))


def build_preference(config: PreferenceConfig, context: Context) -> Preference:
    """Make the objective `language/preference`."""
    return preference(config)
