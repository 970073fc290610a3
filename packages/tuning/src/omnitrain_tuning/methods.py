"""What a parameter-efficient tuning method is, and the part that all methods made of hooks share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from omnitrain_tuning.blocks import Block

Detach = Callable[[], None]


class Attached(Protocol):
    """A method in place on a backbone, with the parameters of one or more experts."""

    def add(self, expert: str) -> nn.Module:
        """Make the parameters of a new expert: a module whose entries are averaged, saved and trained."""

    def use(self, experts: Sequence[str]) -> None:
        """Run the backbone with these experts: none, one, or several on equal consecutive parts of the batch."""

    def detach(self) -> None:
        """Restore the backbone bitwise."""


class Pet(Protocol):
    """A tuning method before it is on a backbone; a component of kind model builds it (`pet: {use: plugin/name}`).

    blocks: the numbers of the blocks it is placed on.
    """

    blocks: Sequence[int]

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> Attached:
        """Put the method on the chosen blocks, without any expert yet.

        Raises UsageError for blocks it can't be placed on.
        """


@runtime_checkable
class Queries(Protocol):
    """A method that first needs the frozen backbone's own features of the batch (prompt pools)."""

    def query(self, features: Tensor) -> None:
        """Take features float[batch, width] of the backbone without the method."""

    def auxiliary(self) -> Tensor:
        """Return a scalar that is added to the loss of the last batch."""

    def pool(self, tokens: Tensor) -> Tensor:
        """Return features float[batch, width] from the final tokens float[batch, length, width]."""


def scale_parameter(fixed: float | None) -> nn.Parameter | float:
    """Return the scalar s of a module: learnable and 1, or the fixed number, which is no parameter."""
    return nn.Parameter(torch.ones(())) if fixed is None else float(fixed)


def kaiming_(weight: Tensor) -> None:
    """Draw as nn.Linear does: Kaiming uniform with a = sqrt(5)."""
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5))


class Sites:
    """The places of one method made of hooks. `parts` gives what each place does with the experts in use.

    create: makes the parameters of one block. install: puts the hooks of one block in place and returns what removes
    them; it gets a function that returns the modules in use at that block, in the order of the batch's parts.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        create: Callable[[Block], nn.Module],
        install: Callable[[Block, Callable[[], Sequence[nn.Module]]], Detach],
    ) -> None:
        self._blocks, self._create = blocks, create
        self._experts: dict[str, nn.ModuleList] = {}
        self._active: tuple[tuple[nn.Module, ...], ...] = tuple(() for _ in blocks)
        self._detach = [install(block, self._reader(place)) for place, block in enumerate(blocks)]

    def _reader(self, place: int) -> Callable[[], Sequence[nn.Module]]:
        return lambda: self._active[place]

    def add(self, expert: str) -> nn.Module:
        """Make the parameters of a new expert, one module a block."""
        self._experts[expert] = nn.ModuleList(self._create(block) for block in self._blocks)
        return self._experts[expert]

    def use(self, experts: Sequence[str]) -> None:
        """Run with these experts, each on its part of the batch."""
        lists = [self._experts[name] for name in experts]
        self._active = tuple(tuple(modules[place] for modules in lists) for place in range(len(self._blocks)))

    def detach(self) -> None:
        """Remove all hooks."""
        for remove in self._detach:
            remove()
        self._detach = []


def by_parts(modules: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Apply each module to its equal part of the batch (dimension 0) and put the results together."""
    if len(modules) == 1:
        result: Tensor = modules[0](x)
        return result
    return torch.cat([module(part) for module, part in zip(modules, x.chunk(len(modules)), strict=True)])


class SharedSites(Sites):
    """The same with one set of parameters for all places: an expert has the entry "shared" alone."""

    def add(self, expert: str) -> nn.Module:
        """Make the parameters of a new expert, those of the first block."""
        one = self._create(self._blocks[0])
        self._experts[expert] = nn.ModuleList([one] * len(self._blocks))
        return nn.ModuleDict({"shared": one})


class SelectingSites(Sites):
    """The same where each example has its own parameters: of several entries, those that a selection names."""

    def __init__(
        self,
        blocks: Sequence[Block],
        create: Callable[[Block], nn.Module],
        install: Callable[[Block, Callable[[], Sequence[nn.Module]]], Detach],
    ) -> None:
        self._chosen: Tensor | None = None
        super().__init__(blocks, create, install)

    def select(self, chosen: Tensor | None) -> None:
        """Take the entry of each example of the next batches, int64[batch]; None where there is just one entry."""
        self._chosen = chosen

    def chosen(self, experts: int) -> Sequence[Tensor | None]:
        """Return the entries of each expert's equal part of the batch."""
        return [None] * experts if self._chosen is None else self._chosen.chunk(experts)


def entries_of(parameter: Tensor, chosen: Tensor | None) -> Tensor:
    """Return the parameters [batch or 1, ...] of the chosen entries of [entries, ...].

    Raises ValueError for several entries without a selection.
    """
    if chosen is not None:
        return parameter[chosen]
    if len(parameter) > 1:
        raise ValueError(f"there are {len(parameter)} entries, so each example needs one: call select with int64[batch]")
    return parameter
