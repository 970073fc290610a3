"""Prefix: learned keys and values in the attention of a block, through transformers' attention interface."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import Block
from omnitrain_tuning.methods import Detach, SelectingSites, entries_of, scale_parameter

NAME = "omnitrain_prefix"
Modules = Callable[[], Sequence[nn.Module]]
Chosen = Callable[[int], Sequence[Tensor | None]]


class PrefixAttention(Protocol):
    """How a block attends to its prefix beside its own keys and values."""

    def __call__(
        self,
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
        """Return float[batch, heads, queries, head width].

        query, key, value: float[batch, heads, length, head width]. prefix_key, prefix_value: float[batch or 1, heads, prefix,
        head width]. mask: of the block's own keys, see `extend_mask`. explicit: the backbone computes its attention matrix
        (eager), so that nothing is saved by a fused form.
        """


def prefix_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    prefix_key: Tensor,
    prefix_value: Tensor,
    *,
    mask: Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    explicit: bool = False,
) -> Tensor:
    """Return plain prefix tuning (arXiv 2101.00190): one softmax over the prefix and the block's own keys."""
    batch = query.shape[0]
    return F.scaled_dot_product_attention(
        query,
        torch.cat([prefix_key.expand(batch, -1, -1, -1), key], dim=2),
        torch.cat([prefix_value.expand(batch, -1, -1, -1), value], dim=2),
        attn_mask=extend_mask(mask, 0, prefix_key.shape[2]),
        dropout_p=dropout,
        scale=scaling,
    )


def extend_mask(mask: Tensor | None, position: int, length: int) -> Tensor | None:
    """Let every query see the prefix: columns that change nothing (0, or true) are put in at `position`.

    mask: None, or additive float or bool [..., queries, keys].
    """
    if mask is None:
        return None
    free = mask.new_ones((*mask.shape[:-1], length)) if mask.dtype == torch.bool else mask.new_zeros((*mask.shape[:-1], length))
    return torch.cat([mask[..., :position], free, mask[..., position:]], dim=-1)


def causal_mask(queries: int, device: torch.device) -> Tensor:
    """Return bool[queries, queries]: each query sees itself and what is before it."""
    return torch.ones(queries, queries, dtype=torch.bool, device=device).tril()


class Scaled(nn.Module):
    """Tokens float[length, width], or of several entries float[entries, length, width], from U(0, 0.01), times a scalar s."""

    def __init__(self, length: int, width: int, scale: float | None, entries: int = 1) -> None:
        super().__init__()
        shape = (length, width) if entries == 1 else (entries, length, width)
        self.tokens = nn.Parameter(torch.empty(shape).uniform_(0.0, 0.01))
        self.scale = scale_parameter(scale)

    def forward(self) -> Tensor:
        """Return the scaled tokens."""
        return self.tokens * self.scale


class PrefixTokens(nn.Module):
    """The prefix of one block: keys and values before the split into heads, the same for every input or of several entries."""

    def __init__(self, length: int, width: int, scale: float | None = None, entries: int = 1) -> None:
        super().__init__()
        self.key = Scaled(length, width, scale, entries)
        self.value = Scaled(length, width, scale, entries)

    def split(self, heads: int, chosen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return keys and values float[1 or batch, heads, length, head width].

        chosen: int64[batch], or int64[batch, several] for prefixes behind each other; None where there is one entry.
        """
        key, value = (self._heads(t, heads, chosen) for t in (self.key(), self.value()))
        return key, value

    def _heads(self, tokens: Any, heads: int, chosen: Tensor | None) -> Tensor:
        if tokens.ndim == 3:
            several = chosen is not None and chosen.ndim == 2
            tokens = tokens[chosen].flatten(1, 2) if several else entries_of(tokens, chosen)
        found: Tensor = tokens.unflatten(-1, (heads, -1)).transpose(-3, -2)
        return found if found.ndim == 4 else found[None]


def _prefixes(modules: Sequence[nn.Module], heads: int, batch: int, chosen: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
    """Return the prefix of every row: one for all, its own, or each expert's for its part of the batch."""
    pairs = [m.split(heads, rows) for m, rows in zip(modules, chosen, strict=True) if isinstance(m, PrefixTokens)]
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
    place: _Place = module.__dict__["_prefix_place"]
    active = place.modules()
    prefix = _prefixes(active, query.shape[1], query.shape[0], place.chosen(len(active)))
    output = place.attention(
        query,
        key,
        value,
        *prefix,
        mask=attention_mask,
        scaling=scaling,
        dropout=dropout,
        explicit=place.explicit,
    )
    return output.transpose(1, 2).contiguous(), None


class _Place:
    """What the attention function finds on an adapted module."""

    def __init__(self, modules: Modules, attention: PrefixAttention, explicit: bool, chosen: Chosen) -> None:
        self.modules, self.attention, self.explicit, self.chosen = modules, attention, explicit, chosen


def install(projecting: nn.Module, modules: Modules, attention: PrefixAttention, chosen: Chosen) -> Detach:
    """Let one attention module call our function, through a copy of the model's config that only it holds.

    While no expert is in use the module has its own config back, and so computes bitwise what it did before.
    """
    from transformers import AttentionInterface

    original: Any = getattr(projecting, "config", None)
    if original is None or not hasattr(original, "_attn_implementation"):
        raise UsageError(
            f"{type(projecting).__name__} does not take its attention from transformers' attention interface, which a prefix "
            "needs; take the method adapter or lora."
        )
    AttentionInterface.register(NAME, _attend)
    own = copy.copy(original)
    own._attn_implementation_internal = NAME  # the public setter would change configs that the copy shares
    projecting.__dict__["_prefix_place"] = _Place(modules, attention, original._attn_implementation == "eager", chosen)

    def switch(module: nn.Module, args: Any) -> None:
        module.config = own if modules() else original

    hook = projecting.register_forward_pre_hook(switch)

    def remove() -> None:
        hook.remove()
        projecting.config = original
        del projecting.__dict__["_prefix_place"]

    return remove


class PrefixPet:
    """Prefix keys and values in the attention of blocks.

    length: tokens of the prefix. scale: a fixed scalar of keys and of values, or None for learnable ones. attention: how
    blocks attend to it. entries: prefixes, of which `select` of what `attach` returns gives each example one or several.
    """

    def __init__(
        self,
        length: int,
        blocks: Sequence[int],
        scale: float | None = None,
        attention: PrefixAttention = prefix_attention,
        entries: int = 1,
    ) -> None:
        self.length, self.blocks, self.scale, self.attention = length, blocks, scale, attention
        self.entries = entries

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> SelectingSites:
        """Hand the attention of the blocks over. Raises UsageError where there is none."""
        places = {block.name: block.attention_for("a prefix").projecting for block in blocks}
        sites = SelectingSites(
            blocks,
            lambda block: PrefixTokens(self.length, block.width, self.scale, self.entries),
            lambda block, modules: install(places[block.name], modules, self.attention, lambda count: sites.chosen(count)),
        )
        return sites
