"""IA3 (arXiv 2205.05638): learned vectors, 1 at first, rescale keys, values and what the feed-forward layer activates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import Block
from omnitrain_tuning.methods import Detach, SelectingSites, entries_of
from omnitrain_tuning.roles import FEED_FORWARD, KEY, VALUE, Place, attention_place, feed_forward_output, sizes_of

Modules = Callable[[], Sequence[nn.Module]]
Chosen = Callable[[int], Sequence[Tensor | None]]


class Rescaling(nn.ParameterDict):
    """The vectors of one block by role: key, value, feed_forward, each float[width] or, of several, float[entries, width]."""


def rescaled(modules: Sequence[nn.Module], role: str, x: Tensor, chosen: Sequence[Tensor | None]) -> Tensor:
    """Multiply each expert's equal part of the batch by its vector, or each example by that of the entry chosen for it."""
    parts = x.chunk(len(modules)) if len(modules) > 1 else (x,)
    scaled = [
        part * _vectors(module[role], rows, part.ndim)  # type: ignore[index]
        for module, part, rows in zip(modules, parts, chosen, strict=True)
    ]
    return scaled[0] if len(scaled) == 1 else torch.cat(scaled)


def _vectors(vectors: Tensor, chosen: Tensor | None, dimensions: int) -> Tensor:
    if vectors.ndim == 1:
        return vectors
    own = entries_of(vectors, chosen)
    return own.view(len(own), *[1] * (dimensions - 2), own.shape[-1])


def _after(place: Place, role: str, modules: Modules, chosen: Chosen) -> Detach:
    def scale(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        active = modules()
        if not active:
            return output
        own = rescaled(active, role, place.read(output), chosen(len(active)))
        if place.is_whole:
            return own
        return torch.cat([output[..., : place.start], own, output[..., place.stop :]], dim=-1)

    return place.module.register_forward_hook(scale).remove


def _before(place: Place, role: str, modules: Modules, chosen: Chosen) -> Detach:
    def scale(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        active = modules()
        return (rescaled(active, role, args[0], chosen(len(active))), *args[1:]) if active else args

    return place.module.register_forward_pre_hook(scale).remove


class IA3Pet:
    """Vectors for keys, values and activations.

    roles: which of them. entries: sets of vectors, of which `select` of what `attach` returns gives each example one.
    """

    def __init__(self, blocks: Sequence[int], roles: Sequence[str] = (KEY, VALUE, FEED_FORWARD), entries: int = 1) -> None:
        unknown = [role for role in roles if role not in (KEY, VALUE, FEED_FORWARD)]
        if unknown or not roles:
            raise UsageError(
                f"roles of IA3: expected some of key, value and feed_forward; found {', '.join(unknown) or 'none'}."
            )
        self.blocks, self.roles, self.entries = blocks, tuple(roles), entries

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> SelectingSites:
        """Put hooks on the projections. Raises UsageError where a role has none that is known."""
        places = {block.name: {role: self._place(backbone, block, role) for role in self.roles} for block in blocks}

        def create(block: Block) -> nn.Module:
            own = Rescaling()
            for role, place in places[block.name].items():
                width = place.inputs if role == FEED_FORWARD else place.outputs
                own[role] = nn.Parameter(torch.ones(width) if self.entries == 1 else torch.ones(self.entries, width))
            return own

        def put(block: Block, modules: Modules) -> Detach:
            removals = [
                (_before if role == FEED_FORWARD else _after)(place, role, modules, lambda count: sites.chosen(count))
                for role, place in places[block.name].items()
            ]

            def remove() -> None:
                for removal in removals:
                    removal()

            return remove

        sites = SelectingSites(blocks, create, put)
        return sites

    def _place(self, backbone: nn.Module, block: Block, role: str) -> Place:
        if role != FEED_FORWARD:
            return attention_place(backbone, block, role, "IA3")
        module = feed_forward_output(block)
        inputs, outputs = sizes_of(module) or (0, 0)
        return Place(module, inputs, 0, outputs)
