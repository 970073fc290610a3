"""GPT-2's blocks under their official names; prompts and prefixes are arguments, other modulators are hooks on the maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEVIATION = 0.02


@dataclass(frozen=True)
class Front:
    """What stands before a sequence; every token sees it. All float[batch, length, ...].

    prompts: embeddings in front of the input, [batch, length, width]. layers: in front of the input of each block, in whose
    output they are taken off again. prefixes: keys and values of each block, [batch, length, 2, width].
    """

    prompts: Tensor | None = None
    layers: Sequence[Tensor] | None = None
    prefixes: Sequence[Tensor] | None = None


class Conv1D(nn.Module):
    """A linear map whose weight is float[inputs, outputs], as GPT-2 stores it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs).normal_(std=DEVIATION))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return x W + b, float[..., outputs]."""
        return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], -1)


class Attention(nn.Module):
    """Masked attention of several heads."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.c_attn, self.c_proj = Conv1D(width, 3 * width), Conv1D(width, width)
        self.heads, self.dropout = heads, dropout
        self.resid_dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, prefix: Tensor | None = None) -> Tensor:
        """Return float[batch, length, width]. mask: added to the scores, float[batch, 1, length, prefix + length]."""
        query, key, value = self.c_attn(x).chunk(3, dim=-1)
        if prefix is not None:
            key, value = (torch.cat([prefix[:, :, i].to(key.dtype), own], dim=1) for i, own in enumerate((key, value)))
        query, key, value = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (query, key, value))
        found = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask.to(query.dtype), dropout_p=self.dropout if self.training else 0.0
        )
        result: Tensor = self.resid_dropout(self.c_proj(found.transpose(1, 2).flatten(2)))
        return result


class Mlp(nn.Module):
    """The feed-forward layer with the exact (erf) GELU."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.c_fc, self.c_proj, self.dropout = Conv1D(width, 4 * width), Conv1D(4 * width, width), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return float[batch, length, width]."""
        result: Tensor = self.dropout(self.c_proj(F.gelu(self.c_fc(x))))
        return result


class Block(nn.Module):
    """Attention and feed-forward layer, each behind a norm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), Attention(width, heads, dropout)
        self.ln_2, self.mlp = nn.LayerNorm(width), Mlp(width, dropout)

    def forward(self, x: Tensor, mask: Tensor, prefix: Tensor | None = None) -> Tensor:
        """Return float[batch, length, width]."""
        x = x + self.attn(self.ln_1(x), mask, prefix)
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result


def causal_mask(real: Tensor, front: int, dtype: torch.dtype) -> Tensor:
    """Return what is added to scores, float[batch, 1, length, front + length]: the smallest number where a key is hidden.

    real: bool[batch, length]. A row that sees nothing, at a padded step, then sees all alike instead of becoming NaN.
    """
    length = real.shape[1]
    seen = torch.ones(length, length, dtype=torch.bool, device=real.device).tril() & real[:, None, None]
    hidden = torch.zeros(seen.shape, dtype=dtype, device=real.device).masked_fill_(~seen, torch.finfo(dtype).min)
    return F.pad(hidden, (front, 0)) if front else hidden


class Encoder(nn.Module):
    """GPT-2 on embeddings. Every position is number 0: `wpe[0]` is added to each, and `wte` is there for its name only."""

    def __init__(self, width: int, layers: int, heads: int, positions: int, dropout: float) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(1, width), nn.Embedding(positions, width)
        nn.init.normal_(self.wte.weight, std=DEVIATION)
        nn.init.normal_(self.wpe.weight, std=DEVIATION)
        self.drop = nn.Dropout(dropout)
        self.h = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, real: Tensor, front: Front | None = None, layers: int | None = None) -> Tensor:
        """Return float[batch, length, width] for tokens of that shape. real: bool[batch, length].

        layers: stop behind so many blocks, without the last norm.
        """
        front = front or Front()
        length = tokens.shape[1]
        if front.prompts is not None:
            tokens = torch.cat([front.prompts.to(tokens.dtype), tokens], dim=1)
            real = F.pad(real, (front.prompts.shape[1], 0), value=True)
        x: Tensor = self.drop(tokens + self.wpe.weight[0])
        count = len(self.h) if layers is None else layers
        masks = {0: causal_mask(real, 0, x.dtype)}
        for number in range(count):
            prefix = None if front.prefixes is None else front.prefixes[number]
            if front.layers is not None:
                x = self._behind(number, x, real, front.layers[number])
                continue
            ahead = 0 if prefix is None else prefix.shape[1]
            if ahead not in masks:
                masks[ahead] = causal_mask(real, ahead, x.dtype)
            x = self.h[number](x, masks[ahead], prefix)
        x = x[:, -length:]
        return x if layers is not None else self.ln_f(x)

    def _behind(self, number: int, x: Tensor, real: Tensor, prompts: Tensor) -> Tensor:
        """Return the output of a block behind prompts of its own."""
        count = prompts.shape[1]
        mask = causal_mask(F.pad(real, (count, 0), value=True), 0, x.dtype)
        result: Tensor = self.h[number](torch.cat([prompts.to(x.dtype), x], dim=1), mask)[:, count:]
        return result
