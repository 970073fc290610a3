"""Where parameter-efficient modules go: the places of a backbone found by role, not by one model's names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from omnitrain.errors import UsageError

QUERY = ("q_proj", "query", "q", "to_q", "q_lin", "wq")
KEY = ("k_proj", "key", "k", "to_k", "k_lin", "wk")
VALUE = ("v_proj", "value", "v", "to_v", "v_lin", "wv")
FUSED = ("qkv", "c_attn", "query_key_value", "Wqkv", "in_proj", "qkv_proj")


@dataclass(frozen=True)
class Attention:
    """The attention of a block. projecting: the module whose children are the projections, which calls the attention
    function. sublayer: the outermost module around it inside the block; with its input and output an adapter is parallel.

    key, value, query: full names of the projections, None where one projection, `fused`, gives all three.
    """

    projecting: nn.Module
    sublayer: nn.Module
    key: str | None
    value: str | None
    query: str | None = None
    fused: str | None = None


@dataclass(frozen=True)
class Block:
    """One block in flat order over all stages. width: of what its attention (or, without attention, the block) reads."""

    name: str
    module: nn.Module
    width: int
    attention: Attention | None

    def attention_for(self, what: str) -> Attention:
        """Return the attention that `what` ("an adapter") is put on. Raises UsageError where there is none."""
        if self.attention is None:
            raise UsageError(f"Block {self.name} has no attention for {what}; take the method conv-adapter.")
        return self.attention


def _child(module: nn.Module, names: Sequence[str]) -> tuple[str, nn.Module] | None:
    children = dict(module.named_children())
    return next(((name, children[name]) for name in names if name in children), None)


def _inputs(projection: nn.Module) -> int:
    weight = projection.weight
    if isinstance(projection, nn.Linear):
        return projection.in_features
    return int(weight.shape[0])  # type: ignore[index]  # transformers' Conv1D holds (inputs, outputs)


def _attentions(block: nn.Module, prefix: str) -> list[tuple[str, nn.Module, dict[str, str], int]]:
    """Return (name, module, names of projections, width) of each module below a block that owns attention projections."""
    found: list[tuple[str, nn.Module, dict[str, str], int]] = []
    for name, module in block.named_modules():
        full = f"{prefix}.{name}" if name else prefix
        query, key, value = _child(module, QUERY), _child(module, KEY), _child(module, VALUE)
        if query is not None and key is not None and value is not None:
            own = {role: f"{full}.{child[0]}" for role, child in (("query", query), ("key", key), ("value", value))}
            found.append((full, module, own, _inputs(key[1])))
        elif (fused := _child(module, FUSED)) is not None:
            found.append((full, module, {"fused": f"{full}.{fused[0]}"}, _inputs(fused[1])))
    return found


def _depthwise(block: nn.Module) -> int | None:
    """Return the channels of the block's depthwise convolution, or None."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels:
            return module.in_channels
    return None


def _sublayer(block: nn.Module, inside: str) -> nn.Module:
    """Return the outermost module on the way to `inside` that is called (a list of modules is not)."""
    module = block
    for part in inside.split("."):
        module = dict(module.named_children())[part]
        if not isinstance(module, (nn.ModuleList, nn.ModuleDict)):
            return module
    return module


def _block(name: str, module: nn.Module) -> Block | None:
    attentions = _attentions(module, name)
    if len(attentions) == 1:
        full, projecting, own, width = attentions[0]
        sublayer = _sublayer(module, full.removeprefix(f"{name}."))
        attention = Attention(projecting, sublayer, own.get("key"), own.get("value"), own.get("query"), own.get("fused"))
        return Block(name, module, width, attention)
    channels = None if attentions else _depthwise(module)
    return None if channels is None else Block(name, module, channels, None)


def find_blocks(backbone: nn.Module) -> tuple[Block, ...]:
    """Return the backbone's blocks in flat order over all stages (ViT, DeiT, Swin, ConvNeXt, encoders and decoders of text).

    A block is an entry of a list of modules of one class that holds exactly one attention (children in the roles of query,
    key and value, or one fused projection) or, without attention, a depthwise convolution. Raises UsageError that says what
    was looked for.
    """
    lists = [(n, m) for n, m in backbone.named_modules() if isinstance(m, nn.ModuleList) and len({type(c) for c in m}) == 1]
    found: dict[str, tuple[Block, ...]] = {}
    for name, entries in lists:
        blocks = [_block(f"{name}.{i}", entry) for i, entry in enumerate(entries)]
        if all(block is not None for block in blocks):
            found[name] = tuple(block for block in blocks if block is not None)
    # Stages of one block each look like blocks as well; the inner lists are the blocks.
    innermost = [name for name in found if not any(other.startswith(f"{name}.") for other in found)]
    blocks_in_order = tuple(block for name in innermost for block in found[name])
    if not blocks_in_order:
        raise UsageError(
            f"No blocks were found in {type(backbone).__name__}. Looked for a list of modules of one class, each with one "
            f"attention (children named like {KEY[0]}, {KEY[1]} and {VALUE[0]}, {VALUE[1]}, or fused like {FUSED[0]}) or a "
            f"depthwise convolution; found {_described(lists)}. Tune its head alone, or take a backbone of transformers."
        )
    return blocks_in_order


def _described(lists: Sequence[tuple[str, nn.ModuleList]]) -> str:
    if not lists:
        return "no list of modules"
    return ", ".join(f"{name} ({len(entries)} x {type(entries[0]).__name__})" for name, entries in lists[:4])


def select_blocks(blocks: Sequence[Block], numbers: Sequence[int]) -> tuple[Block, ...]:
    """Return the blocks of the given numbers.

    Raises UsageError for a number that is not there.
    """
    beyond = [n for n in numbers if not 0 <= n < len(blocks)]
    if beyond:
        raise UsageError(f"blocks: there is no block {beyond[0]}; the backbone has {len(blocks)}, numbered from 0.")
    return tuple(blocks[n] for n in numbers)
