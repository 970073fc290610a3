"""Log-probabilities of the responses of pairs: both sides in one forward pass, logits only where something is predicted."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import Batch
from omnitrain.engine import unwrap
from omnitrain_language.losses import token_cross_entropy
from omnitrain_language.preferences.batches import CHOSEN, REJECTED


@dataclass(frozen=True)
class ResponseLogProbs:
    """Of the rows of a batch. sums: float[...], log-probability of each response; counts: float[...], sum of its weights."""

    sums: Tensor
    counts: Tensor

    @property
    def means(self) -> Tensor:
        """Mean log-probability a token, float[...]; 0 for a response without weight."""
        return self.sums / self.counts.clamp(min=1e-20)


def response_log_probs(logits: Tensor, labels: Tensor, weights: Tensor) -> ResponseLogProbs:
    """Return the log-probabilities of rows: sums over tokens of weight x log p, and the sums of the weights.

    logits: [rows, length, vocabulary], of which row t predicts labels[:, t], int64[rows, length]; weights: float[rows, length].
    A token of weight 0 does not count, even if it is impossible.
    """
    return _summed(-token_cross_entropy(logits, labels)[1], weights)


def _summed(log_probs: Tensor, weights: Tensor) -> ResponseLogProbs:
    return ResponseLogProbs(torch.where(weights != 0, log_probs * weights, 0.0).sum(dim=-1), weights.sum(dim=-1))


@dataclass(frozen=True)
class PairLogProbs:
    """What a model gives a batch of pairs. nll, nll_tokens: of all tokens of the chosen rows, prompts included, float[batch];
    None where only responses were asked for."""

    chosen: ResponseLogProbs
    rejected: ResponseLogProbs
    nll: Tensor | None = None
    nll_tokens: Tensor | None = None


def pair_log_probs(model: nn.Module, batch: Batch, prompts: bool = False) -> PairLogProbs:
    """Take both sides of a batch of pairs (`batches.PAIRS`) through a model at once.

    prompts: also return the chosen rows' NLL over prompt and response, for which logits of all positions are made.
    """
    ids, mask, labels = (batch[name].flatten(0, 1) for name in ("input_ids", "attention_mask", "labels"))
    weights = batch["loss_weights"].flatten(0, 1)
    length, predicted = ids.shape[1], labels.shape[1]
    logits = _logits(model, ids, mask, length if prompts else predicted)
    if prompts:
        # What a position predicts is the next one's input, and behind the last input the last label.
        labels = torch.cat([ids[:, 1:], labels[:, -1:]], dim=1)
        weights = nn.functional.pad(weights, (length - predicted, 0))
    log_probs = -token_cross_entropy(logits, labels)[1]
    found = _summed(log_probs, weights)
    chosen, rejected = (ResponseLogProbs(found.sums[side::2], found.counts[side::2]) for side in (CHOSEN, REJECTED))
    if not prompts:
        return PairLogProbs(chosen, rejected)
    whole = _summed(log_probs[CHOSEN::2], mask[CHOSEN::2].to(log_probs.dtype))
    return PairLogProbs(chosen, rejected, nll=-whole.sums, nll_tokens=whole.counts)


def _logits(model: nn.Module, ids: Tensor, mask: Tensor, last: int) -> Tensor:
    """Return the logits of the last positions, [rows, last, vocabulary]."""
    asked: dict[str, Any] = {"logits_to_keep": last} if last < ids.shape[1] and _keeps_logits(model) else {}
    logits: Tensor = model(input_ids=ids, attention_mask=mask, use_cache=False, **asked).logits
    # A cut that leaves all would cost its gradient a copy.
    return logits if logits.shape[1] == last else logits[:, -last:]


def _keeps_logits(model: nn.Module) -> bool:
    inner: Any = unwrap(model)
    # Adapters hand on what they do not know themselves.
    inner = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
    return _takes(type(inner).forward)


@lru_cache
def _takes(forward: Callable[..., Any]) -> bool:
    return "logits_to_keep" in inspect.signature(forward).parameters
