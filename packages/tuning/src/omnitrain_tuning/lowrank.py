"""Low-rank updates of any linear map by role, one set for all or one of several for each example of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import Block
from omnitrain_tuning.methods import Detach, SelectingSites, entries_of, kaiming_, scale_parameter
from omnitrain_tuning.roles import FEED_FORWARD, KEY, QUERY, VALUE, Place, attention_place, feed_forward_input

ROLES = (QUERY, KEY, VALUE, FEED_FORWARD)
Of = Literal["input", "output"]


class Factors(nn.Module):
    """x A B times a scale, without a product of A and B and without a weight for each example.

    a: float[entries, inputs, rank], each entry Kaiming uniform as in LoRA. b: float[entries, rank, outputs], 0.
    scale: a fixed number (alpha / rank), or None for a learnable one that begins at 1.
    """

    def __init__(self, inputs: int, outputs: int, rank: int, entries: int = 1, scale: float | None = None) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.empty(entries, inputs, rank))
        self.b = nn.Parameter(torch.zeros(entries, rank, outputs))
        for entry in self.a.detach():
            kaiming_(entry.T)
        self.scale = scale_parameter(scale)

    def forward(self, base: Tensor, x: Tensor, chosen: Tensor | None = None, in_place: bool = False) -> Tensor:
        """Return base float[batch, ..., outputs] with what is added for x float[batch, ..., inputs].

        chosen: the entry of each example, int64[batch]. in_place: write into base, which may be a part of a larger tensor.
        """
        a, b = (entries_of(factor, chosen).to(x.dtype) for factor in (self.a, self.b))
        rows, onto = (t.flatten(1, -2) if t.ndim > 2 else t.unsqueeze(1) for t in (x, base))
        if len(a) == 1:  # one product of all rows instead of one for each example
            inner = (rows @ a[0]) * self.scale
            changed = inner @ b[0]
            result = onto.add_(changed) if in_place else onto + changed
        else:
            inner = torch.bmm(rows, a) * self.scale
            result = onto.baddbmm_(inner, b) if in_place else torch.baddbmm(onto, inner, b)
        return result.view(base.shape)


class Roles(nn.ModuleDict):
    """The factors of one block by role."""


class LowRankPet:
    """Low-rank factors on projections by role.

    rank: of the factors. blocks: their numbers. roles: some of query, key, value and feed_forward (the map that widens).
    scale: alpha / rank, or None for learnable ones. entries: sets of factors, of which `select` of what `attach` returns
    gives each example one. feed_forward_of: what the update of the feed-forward map reads: its input, as in LoRA, or its
    output, as L2M's official code does (arXiv 2306.14884).
    """

    def __init__(
        self,
        rank: int,
        blocks: Sequence[int],
        roles: Sequence[str] = (QUERY, VALUE),
        scale: float | None = None,
        entries: int = 1,
        feed_forward_of: Of = "input",
    ) -> None:
        unknown = [role for role in roles if role not in ROLES]
        if unknown or not roles:
            raise UsageError(
                f"roles of LoRA: expected some of query, key, value and feed_forward; found {', '.join(unknown) or 'none'}."
            )
        self.rank, self.blocks, self.roles, self.scale = rank, blocks, tuple(dict.fromkeys(roles)), scale
        self.entries, self.feed_forward_of = entries, feed_forward_of

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> SelectingSites:
        """Put hooks on the projections. Raises UsageError where a role has none that is known."""
        places = {block.name: self._places(backbone, block) for block in blocks}

        def create(block: Block) -> nn.Module:
            return Roles({role: self._factors(role, place) for role, place in places[block.name].items()})

        def put(block: Block, modules: Callable[[], Sequence[nn.Module]]) -> Detach:
            removals = [
                module.register_forward_hook(self._hook(own, modules, lambda count: sites.chosen(count)))
                for module, own in _by_module(places[block.name])
            ]

            def remove() -> None:
                for handle in removals:
                    handle.remove()

            return remove

        sites = SelectingSites(blocks, create, put)
        return sites

    def _places(self, backbone: nn.Module, block: Block) -> dict[str, Place]:
        return {
            role: feed_forward_input(block) if role == FEED_FORWARD else attention_place(backbone, block, role, "LoRA")
            for role in self.roles
        }

    def _factors(self, role: str, place: Place) -> Factors:
        of_output = role == FEED_FORWARD and self.feed_forward_of == "output"
        inputs = place.outputs if of_output else place.inputs
        return Factors(inputs, place.outputs, self.rank, self.entries, self.scale)

    def _hook(
        self,
        own: dict[str, Place],
        modules: Callable[[], Sequence[nn.Module]],
        chosen: Callable[[int], Sequence[Tensor | None]],
    ) -> Callable[..., Any]:
        def add(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            active = modules()
            rows = chosen(len(active)) if active else ()
            for role, place in own.items() if active else ():
                x = output if role == FEED_FORWARD and self.feed_forward_of == "output" else args[0]
                output = _added(output, place, x, [factors[role] for factors in active], rows)  # type: ignore[index]
            return output

        return add


def _added(output: Tensor, place: Place, x: Tensor, factors: Sequence[nn.Module], chosen: Sequence[Tensor | None]) -> Tensor:
    """Return a projection's output with each expert's update of its equal part of the batch.

    Where a role has a part of the outputs it is written into, so that the others are not copied.
    """
    if place.is_whole and len(factors) == 1:
        changed: Tensor = factors[0](output, x, chosen[0])
        return changed
    size = len(output) // len(factors)
    parts = []
    for number, (own, rows) in enumerate(zip(factors, chosen, strict=True)):
        base, read = (t.narrow(0, number * size, size) for t in (output, x))
        if place.is_whole:
            parts.append(own(base, read, rows))
        else:
            own(base.narrow(-1, place.start, place.outputs), read, rows, in_place=True)
    return torch.cat(parts) if parts else output


def _by_module(places: dict[str, Place]) -> list[tuple[nn.Module, dict[str, Place]]]:
    """Return each module once with the roles that it projects."""
    found: dict[nn.Module, dict[str, Place]] = {}
    for role, place in places.items():
        found.setdefault(place.module, {})[role] = place
    return list(found.items())
