"""Attention over the last steps with a memory that is carried on, masks and a learned relative bias."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnitrain_vpt.models.network.layers import rescale_rows

MaskStyle = Literal["clipped_causal", "none"]
HIDDEN = -1e9
"""What is added to the logits of masked pairs."""
BASES = 10


def _distance(steps: int, total: int, device: torch.device | None = None) -> Tensor:
    """How far back column s is from row t, int64[steps, total]; the last `steps` columns are the rows themselves."""
    rows = torch.arange(steps, device=device)[:, None] + (total - steps)
    return rows - torch.arange(total, device=device)[None]


def band_mask(steps: int, total: int, maxlen: int | None, device: torch.device | None = None) -> Tensor:
    """Which of `total` columns (memory first) each of the last `steps` rows may attend to, bool[steps, total].

    maxlen: a step sees at most so many steps, itself included; None for all that came before.
    """
    distance = _distance(steps, total, device)
    allowed = distance >= 0
    return allowed if maxlen is None else allowed & (distance < maxlen)


def bandify(basis: Tensor, steps: int, total: int) -> Tensor:
    """Spread basis functions of the distance over pairs, float[bases, steps, total]; 0 outside the band.

    basis: float[bases, maxlen], entry d for distance d (0 is the step itself).
    """
    distance = _distance(steps, total, basis.device)
    maxlen = basis.shape[1]
    inside = (distance >= 0) & (distance < maxlen)
    places = torch.where(inside, distance, maxlen)
    return F.pad(basis, (0, 1))[:, places]


def memory_mask(first: Tensor, state_mask: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return (who may attend to whom bool[batch, steps, maxlen + steps], the mask after the chunk bool[batch, maxlen]).

    first: bool[batch], forget the memory before the chunk, as in the official code; or bool[batch, steps], forget it before
    any step, for chunks in which an episode ends. state_mask: bool[batch, maxlen], which memory slots are filled.
    """
    maxlen = state_mask.shape[1]
    band = band_mask(steps, maxlen + steps, maxlen, first.device)
    if first.ndim == 1:
        kept = state_mask & ~first[:, None]
        visible = torch.cat([kept, kept.new_ones(len(kept), steps)], 1)
        after = torch.cat([kept[:, min(steps, maxlen) :], kept.new_ones(len(kept), min(steps, maxlen))], 1)
        return band[None] & visible[:, None], after
    episode = first.long().cumsum(1)
    # Empty slots belong to no episode; filled ones to the one that was under way before the chunk.
    column = torch.cat([torch.where(state_mask, 0, -1), episode], 1)
    after = (column == episode[:, -1:])[:, steps:]
    return band[None] & (column[:, None] == episode[:, :, None]), after


class Memory(NamedTuple):
    """Keys and values of the last steps, float[batch, maxlen, width] each."""

    keys: Tensor
    values: Tensor


class MaskedAttention(nn.Module):
    """Multi-head attention with a residual. Logits are q k / head size (muP) + r(x) . b(distance) + mask."""

    def __init__(self, width: int, heads: int, maxlen: int, mup: bool = True, scale: float = 1.0) -> None:
        super().__init__()
        self.heads, self.maxlen = heads, maxlen
        head = width // heads
        self.logit_scale = 1.0 / head if mup else 1.0 / math.sqrt(head)
        self.q_layer = _product(width, width, True, 0.1)
        self.k_layer = _product(width, width, False, 0.2)
        self.v_layer = _product(width, width, False, math.sqrt(scale))
        self.proj_layer = _product(width, width, True, math.sqrt(scale))
        self.b_nd = nn.Parameter(torch.randn(BASES, maxlen) * 0.2)
        self.r_layer = _product(width, BASES * heads, True, 0.1)
        if maxlen == 0:
            # Without a memory there is no relative bias: these stay as they are, for the official parameter names.
            for parameter in (self.b_nd, *self.r_layer.parameters()):
                parameter.requires_grad_(False)

    def _relative(self, x: Tensor, total: int) -> Tensor:
        """The relative term, float[batch, heads, steps, total]."""
        batch, steps = x.shape[:2]
        shares = self.r_layer(x).view(batch, steps, self.heads, BASES)
        return torch.einsum("bthn,ntT->bhtT", shares, bandify(self.b_nd, steps, total))

    def forward(self, x: Tensor, mask: Tensor | None, memory: Memory) -> tuple[Tensor, Memory]:
        """Return (x + attention, the memory after these steps).

        x: float[batch, steps, width]. mask: bool[batch, steps, maxlen + steps], None where everything is visible.
        """
        batch, steps, width = x.shape
        keys = torch.cat([memory.keys, self.k_layer(x)], 1)
        values = torch.cat([memory.values, self.v_layer(x)], 1)
        total = keys.shape[1]
        bias = self._relative(x, total) if self.maxlen else None
        if mask is not None:
            hidden = torch.zeros((), dtype=x.dtype, device=x.device).masked_fill(~mask[:, None], HIDDEN)
            bias = hidden if bias is None else bias + hidden
        q, k, v = (y.view(batch, -1, self.heads, width // self.heads).transpose(1, 2) for y in (self.q_layer(x), keys, values))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=self.logit_scale)
        out = x + self.proj_layer(mixed.transpose(1, 2).reshape(batch, steps, width))
        return out, Memory(keys[:, total - self.maxlen :], values[:, total - self.maxlen :])


def _product(inputs: int, outputs: int, bias: bool, scale: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=bias)
    rescale_rows(layer.weight, scale)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
