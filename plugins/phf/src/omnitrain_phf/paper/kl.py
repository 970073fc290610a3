"""How far a model is from a reference: KL(reference || model) from the reference's samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from omnitrain_phf.paper.losses import token_nll


def sequence_logprobs(logits: Tensor, input_ids: Tensor, attention_mask: Tensor, official_mask: bool = False) -> Tensor:
    """Return the summed log-probability of each sequence's tokens but the first, [batch].

    logits: [batch, length, vocabulary], position t predicts token t + 1; its memory is used up. input_ids: int64[batch,
    length], padded on the right; attention_mask: 0 for padding. official_mask: as the official code, count the token
    behind each one that is real, which includes the first padding token of a short text.
    """
    nll = token_nll(logits[:, :-1], input_ids[:, 1:])
    mask = attention_mask[:, :-1] if official_mask else attention_mask[:, 1:]
    return -(nll * mask.to(nll.dtype)).sum(dim=-1)


def forward_kl(reference: Sequence[float] | Tensor, model: Sequence[float] | Tensor) -> float:
    """Return the mean over samples of log p_reference - log p_model, sums over a sample's tokens."""
    difference = torch.as_tensor(reference, dtype=torch.float64) - torch.as_tensor(model, dtype=torch.float64)
    return float(difference.mean())


def insert_prefix(text: str, prefix: str, each_line: bool) -> str:
    """Return a text with the control token in front, and behind each newline where asked for (code)."""
    return prefix + (text.replace("\n", f"\n{prefix}") if each_line else text)
