"""The recurrent blocks and the state that they carry from chunk to chunk."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from omnitrain_vpt.models.network.attention import MaskedAttention, MaskStyle, Memory, memory_mask
from omnitrain_vpt.models.network.layers import NormLayer, dense

State = dict[str, Tensor]
"""mask: bool[batch, maxlen]; keys, values: float[blocks, batch, maxlen, width]."""


class AttentionLayer(nn.Module):
    """Holds the attention under its official name."""

    def __init__(self, attention: MaskedAttention) -> None:
        super().__init__()
        self.orc_block = attention


class Block(nn.Module):
    """y = LN(x); y = y + attention(y); out = y + W1 relu(W0 LN(y)): the residual stream is the normalised x."""

    def __init__(self, width: int, heads: int, maxlen: int, ratio: int, scale: float) -> None:
        super().__init__()
        self.mlp0 = dense(width, width * ratio)
        self.mlp1 = NormLayer(nn.Linear(width * ratio, width), None, scale, activation=False)
        self.pre_r_ln = nn.LayerNorm(width)
        self.r = AttentionLayer(MaskedAttention(width, heads, maxlen, scale=scale))

    def forward(self, x: Tensor, mask: Tensor | None, memory: Memory) -> tuple[Tensor, Memory]:
        """Return the output and the memory after these steps."""
        y, memory = self.r.orc_block(self.pre_r_ln(x), mask, memory)
        return y + self.mlp1(self.mlp0(y)), memory


class Recurrent(nn.Module):
    """Blocks with a shared mask. style "none": everything is visible and nothing is masked."""

    def __init__(self, blocks: int, width: int, heads: int, maxlen: int, ratio: int, style: MaskStyle) -> None:
        super().__init__()
        self.width, self.maxlen, self.style = width, maxlen, style
        scale = blocks**-0.5 * 2**-0.5
        self.blocks = nn.ModuleList(Block(width, heads, maxlen, ratio, scale) for _ in range(blocks))

    def initial_state(self, batch: int) -> State:
        """Return an empty memory."""
        like = next(self.parameters())
        shape = (len(self.blocks), batch, self.maxlen, self.width)
        zeros = torch.zeros(shape, dtype=like.dtype, device=like.device)
        return {"mask": torch.zeros(batch, self.maxlen, dtype=torch.bool, device=like.device), "keys": zeros, "values": zeros}

    def forward(self, x: Tensor, first: Tensor, state: State) -> tuple[Tensor, State]:
        """Return (float[batch, steps, width], the next state). first: bool[batch], forget the memory."""
        mask, after = None, state["mask"]
        if self.style == "clipped_causal":
            mask, after = memory_mask(first, state["mask"], x.shape[1])
        keys, values = [], []
        for number, block in enumerate(self.blocks):
            x, memory = block(x, mask, Memory(state["keys"][number].to(x.dtype), state["values"][number].to(x.dtype)))
            keys.append(memory.keys)
            values.append(memory.values)
        return x, {"mask": after, "keys": torch.stack(keys), "values": torch.stack(values)}
