"""IA3 (arXiv 2205.05638): learned vectors, 1 at first, rescale keys, values and what the feed-forward layer activates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import Block
from omnitrain_tuning.methods import Detach, Sites

KEY, VALUE, FEED_FORWARD = "key", "value", "feed_forward"
Modules = Callable[[], Sequence[nn.Module]]


class Rescaling(nn.ParameterDict):
    """The vectors of one block by role: key, value, feed_forward."""


def sizes_of(projection: nn.Module) -> tuple[int, int] | None:
    """Return (inputs, outputs) of a linear map, also of transformers' Conv1D; None for another module."""
    if isinstance(projection, nn.Linear):
        return projection.in_features, projection.out_features
    weight = getattr(projection, "weight", None)
    if type(projection).__name__ == "Conv1D" and isinstance(weight, Tensor):
        return int(weight.shape[0]), int(weight.shape[1])
    return None


def feed_forward_output(block: Block) -> nn.Module:
    """Return the map of the feed-forward layer back to the width of the block: what it reads are the activations.

    It is the only linear map outside of attention that narrows to that width. Raises UsageError unless there is just one.
    """
    attention = set(block.attention.sublayer.modules()) if block.attention is not None else set()
    found: list[tuple[str, nn.Module]] = [
        (name, module)
        for name, module in block.module.named_modules()
        if module not in attention and (sizes := sizes_of(module)) is not None and sizes[1] == block.width < sizes[0]
    ]
    if len(found) != 1:
        names = ", ".join(name for name, _ in found) or "none"
        raise UsageError(
            f"Block {block.name}: one map of a feed-forward layer back to width {block.width} was looked for, found {names}; "
            "leave feed_forward out of the roles of IA3."
        )
    return found[0][1]


def rescaled(modules: Sequence[nn.Module], role: str, x: Tensor) -> Tensor:
    """Multiply each expert's equal part of the batch by its vector."""
    parts = x.chunk(len(modules)) if len(modules) > 1 else (x,)
    scaled = [part * module[role] for module, part in zip(modules, parts, strict=True)]  # type: ignore[index]
    return scaled[0] if len(scaled) == 1 else torch.cat(scaled)


def _after(projection: nn.Module, role: str, modules: Modules) -> Detach:
    def scale(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        active = modules()
        return rescaled(active, role, output) if active else output

    return projection.register_forward_hook(scale).remove


def _before(projection: nn.Module, role: str, modules: Modules) -> Detach:
    def scale(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        active = modules()
        return (rescaled(active, role, args[0]), *args[1:]) if active else args

    return projection.register_forward_pre_hook(scale).remove


class IA3Pet:
    """Vectors for keys, values and activations. roles: which of them."""

    def __init__(self, blocks: Sequence[int], roles: Sequence[str] = (KEY, VALUE, FEED_FORWARD)) -> None:
        unknown = [role for role in roles if role not in (KEY, VALUE, FEED_FORWARD)]
        if unknown or not roles:
            raise UsageError(
                f"roles of IA3: expected some of key, value and feed_forward; found {', '.join(unknown) or 'none'}."
            )
        self.blocks, self.roles = blocks, tuple(roles)

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> Sites:
        """Put hooks on the projections. Raises UsageError where a role has no module of its own."""
        places = {block.name: {role: self._place(backbone, block, role) for role in self.roles} for block in blocks}

        def create(block: Block) -> nn.Module:
            own = Rescaling()
            for role, projection in places[block.name].items():
                inputs, outputs = sizes_of(projection) or (0, 0)
                own[role] = nn.Parameter(torch.ones(inputs if role == FEED_FORWARD else outputs))
            return own

        def put(block: Block, modules: Modules) -> Detach:
            removals = [
                (_before if role == FEED_FORWARD else _after)(projection, role, modules)
                for role, projection in places[block.name].items()
            ]

            def remove() -> None:
                for removal in removals:
                    removal()

            return remove

        return Sites(blocks, create, put)

    def _place(self, backbone: nn.Module, block: Block, role: str) -> nn.Module:
        if role == FEED_FORWARD:
            return feed_forward_output(block)
        name = None if block.attention is None else block.attention.key if role == KEY else block.attention.value
        if name is None:
            raise UsageError(
                f"Block {block.name} has no projection of its own for the {role}, which IA3 rescales; leave {role} out of the "
                "roles of IA3, or take the method adapter."
            )
        return backbone.get_submodule(name)
