"""Prefix: learned keys and values in the attention of a block, through transformers' attention interface."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.errors import UsageError
from omnitrain_lae.paper.calibration import causal_mask, explicit_prefix_attention, fast_prefix_attention
from omnitrain_lae.pets.base import Detach, Sites, scale_parameter
from omnitrain_lae.pets.layouts import Block

NAME = "lae_prefix"
Modules = Callable[[], Sequence[nn.Module]]


class Scaled(nn.Module):
    """Tokens float[length, width] drawn from U(0, 0.01), times a scalar s."""

    def __init__(self, length: int, width: int, scale: float | None) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(length, width).uniform_(0.0, 0.01))
        self.scale = scale_parameter(scale)

    def forward(self) -> Tensor:
        """Return the scaled tokens."""
        return self.tokens * self.scale


class PrefixTokens(nn.Module):
    """The prefix of one block: keys and values before the split into heads, the same for every input."""

    def __init__(self, length: int, width: int, scale: float | None = None) -> None:
        super().__init__()
        self.key = Scaled(length, width, scale)
        self.value = Scaled(length, width, scale)

    def split(self, heads: int) -> tuple[Tensor, Tensor]:
        """Return keys and values float[1, heads, length, head width]."""
        key, value = (t.unflatten(-1, (heads, -1)).transpose(0, 1)[None] for t in (self.key(), self.value()))
        return key, value


def _prefixes(modules: Sequence[nn.Module], heads: int, batch: int) -> tuple[Tensor, Tensor]:
    """Return the prefix of every row: one for all, or each expert's for its part of the batch."""
    pairs = [module.split(heads) for module in modules if isinstance(module, PrefixTokens)]
    if len(pairs) == 1:
        return pairs[0]
    rows = batch // len(pairs)
    keys, values = (torch.cat([pair[i].expand(rows, -1, -1, -1) for pair in pairs]) for i in (0, 1))
    return keys, values


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """The attention function of adapted blocks; transformers calls it with what it has projected."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if attention_mask is None and causal and query.shape[2] > 1:
        attention_mask = causal_mask(query.shape[2], query.device)
    place: _Place = module.__dict__["_lae_place"]
    prefix = _prefixes(place.modules(), query.shape[1], query.shape[0])
    attend = explicit_prefix_attention if place.explicit else fast_prefix_attention
    output = attend(
        query,
        key,
        value,
        *prefix,
        mask=attention_mask,
        scaling=scaling,
        dropout=dropout,
        compensated=place.compensated,
    )
    return output.transpose(1, 2).contiguous(), None


class _Place:
    """What the attention function finds on an adapted module."""

    def __init__(self, modules: Modules, compensated: bool, explicit: bool) -> None:
        self.modules, self.compensated, self.explicit = modules, compensated, explicit


def install(projecting: nn.Module, modules: Modules, compensated: bool) -> Detach:
    """Let one attention module call our function, through a copy of the model's config that only it holds.

    While no expert is in use the module has its own config back, and so computes bitwise what it did before.
    """
    from transformers import AttentionInterface

    original: Any = getattr(projecting, "config", None)
    if original is None or not hasattr(original, "_attn_implementation"):
        raise UsageError(
            f"{type(projecting).__name__} does not take its attention from transformers' attention interface, which a prefix "
            "needs; use {use: lae/adapter} or {use: lae/lora}."
        )
    AttentionInterface.register(NAME, _attend)
    own = copy.copy(original)
    own._attn_implementation_internal = NAME  # the public setter would change configs that the copy shares
    projecting.__dict__["_lae_place"] = _Place(modules, compensated, original._attn_implementation == "eager")

    def switch(module: nn.Module, args: Any) -> None:
        module.config = own if modules() else original

    hook = projecting.register_forward_pre_hook(switch)

    def remove() -> None:
        hook.remove()
        projecting.config = original
        del projecting.__dict__["_lae_place"]

    return remove


class PrefixPet:
    """Prefix keys and values in the attention of blocks."""

    def __init__(self, length: int, blocks: Sequence[int], compensated: bool = True, scale: float | None = None) -> None:
        self.length, self.blocks, self.compensated, self.scale = length, blocks, compensated, scale

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> Sites:
        """Hand the attention of the blocks over. Raises UsageError where there is none."""
        lacking = [block.name for block in blocks if block.attention is None]
        if lacking:
            raise UsageError(f"Block {lacking[0]} has no attention for a prefix; use {{use: lae/conv-adapter}}.")

        def put(block: Block, modules: Modules) -> Detach:
            assert block.attention is not None
            return install(block.attention.projecting, modules, self.compensated)

        return Sites(blocks, lambda block: PrefixTokens(self.length, block.width, self.scale), put)
