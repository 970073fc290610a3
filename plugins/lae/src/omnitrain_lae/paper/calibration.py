"""Attention with prefix keys and values, compensated (section 3.1, "calibration") or plain.

With lambda the share of the prefix in a row of the softmax, plain prefix tuning gives
(1 - lambda) Attn(q, K, V) + lambda Attn(q, P_k, P_v). The small lambda starves the gradient of the prefix, so LAE drops it:
(1 - lambda) Attn(q, K, V) + Attn(q, P_k, P_v).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from omnitrain_tuning.prefix import PrefixAttention, PrefixPet, extend_mask, prefix_attention

SMALLEST_SHARE = 1e-12


def compensate(attention: Tensor, position: int, length: int) -> Tensor:
    """Divide the columns of the prefix by their own sum (at least 1e-12), and leave the others.

    attention: float[..., queries, keys], rows that sum to 1; `length` prefix columns from column `position` on. The sum is
    part of the graph. Rows then sum to 2 - lambda.
    """
    before, prefix, after = torch.split(attention, [position, length, attention.shape[-1] - position - length], dim=-1)
    share = prefix.sum(dim=-1, keepdim=True).clamp(min=SMALLEST_SHARE)
    return torch.cat([before, prefix / share, after], dim=-1)


def explicit_prefix_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    prefix_key: Tensor,
    prefix_value: Tensor,
    *,
    mask: Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    compensated: bool = True,
    position: int = 1,
) -> Tensor:
    """Return float[batch, heads, queries, head width] by the formula itself, with the attention matrix in memory.

    query, key, value: float[batch, heads, length, head width]. prefix_key, prefix_value: float[batch or 1, heads, prefix,
    head width]. Dropout comes before the compensation. position: ordinary columns in front of the prefix; it changes the
    order of additions only.
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    length, batch = prefix_key.shape[2], query.shape[0]
    keys = _inserted(key, prefix_key.expand(batch, -1, -1, -1), position)
    values = _inserted(value, prefix_value.expand(batch, -1, -1, -1), position)
    scores = query @ keys.transpose(-1, -2) * scaling
    extended = extend_mask(mask, position, length)
    if extended is not None:
        scores = scores.masked_fill(~extended, -torch.inf) if extended.dtype == torch.bool else scores + extended
    rows = F.dropout(torch.softmax(scores, dim=-1), dropout)
    return (compensate(rows, position, length) if compensated else rows) @ values


def _inserted(tokens: Tensor, prefix: Tensor, position: int) -> Tensor:
    return torch.cat([tokens[:, :, :position], prefix, tokens[:, :, position:]], dim=2)


def fast_prefix_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    prefix_key: Tensor,
    prefix_value: Tensor,
    *,
    mask: Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    compensated: bool = True,
) -> Tensor:
    """Return the same without an attention matrix in memory, from two fused attentions.

    (1 - lambda) Attn(q, K, V) is attention over [P_k, K] with values [0, V]: the prefix only takes its share of the softmax
    away. Differs from the explicit form where lambda < 1e-12, whose clamp is not repeated. Arguments as there.
    """
    if not compensated:
        return prefix_attention(query, key, value, prefix_key, prefix_value, mask=mask, scaling=scaling, dropout=dropout)
    batch = query.shape[0]
    prefix_key, prefix_value = prefix_key.expand(batch, -1, -1, -1), prefix_value.expand(batch, -1, -1, -1)
    shared = prefix_attention(
        query, key, value, prefix_key, torch.zeros_like(prefix_value), mask=mask, scaling=scaling, dropout=dropout
    )
    return shared + F.scaled_dot_product_attention(query, prefix_key, prefix_value, dropout_p=dropout, scale=scaling)


def attention_of(compensated: bool) -> PrefixAttention:
    """Return how a block attends to a prefix: by the formula on backbones that compute it too (eager), else fused."""

    def attend(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        prefix_key: Tensor,
        prefix_value: Tensor,
        *,
        mask: Tensor | None,
        scaling: float | None,
        dropout: float,
        explicit: bool,
    ) -> Tensor:
        chosen = explicit_prefix_attention if explicit else fast_prefix_attention
        given = (query, key, value, prefix_key, prefix_value)
        return chosen(*given, mask=mask, scaling=scaling, dropout=dropout, compensated=compensated)

    return attend


def calibrated_prefix(length: int, blocks: Sequence[int], compensated: bool = True, scale: float | None = None) -> PrefixPet:
    """Return the prefix of the paper; compensated is false in its ablation."""
    return PrefixPet(length, blocks, scale, attention_of(compensated))
