"""The members of a mixture, and the endless order of one whose examples have numbers."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from omnitrain.api.data import Batch
from omnitrain.engine.batches import Maker, is_indexed
from omnitrain.errors import DataError
from omnitrain.mixture.configs import MemberConfig
from omnitrain.mixture.turns import Ints
from omnitrain.runs.seeds import derive

_KEPT = 4


@dataclass(frozen=True)
class Member:
    """One of the data that are mixed. number: its place among the names. use: its component, for messages."""

    name: str
    number: int
    data: Any
    config: MemberConfig
    use: str

    def has(self, split: str) -> bool:
        """Whether it has that split."""
        return split in self.data.splits()

    def indexed(self, split: str) -> bool:
        """Whether batches of any of its examples can be made by their numbers."""
        return is_indexed(self.data, split)

    def size(self, split: str, capped: bool = True) -> int | None:
        """Return how many examples of the split there are, or count for its share; None where the data can't tell.

        Raises DataError for none, and for a cap on what has no numbers.
        """
        if not self.indexed(split):
            if self.config.cap is not None:
                raise DataError(
                    f"members.{self.name}.cap: {self.use} has only an order of its own, in which examples can't be counted; "
                    "take the cap out (`size` says what counts as its size)."
                )
            return self.config.size
        found = len(self.data.examples(split))
        if not found:
            raise DataError(f"members.{self.name}: {self.use} has no examples in the split {split!r}; take the member out.")
        return min(found, self.config.cap) if capped and self.config.cap is not None else found


class EndlessRows:
    """Batches of a member by positions in an endless order: one permutation of its examples behind the other.

    Drawn from (seed, pass); an example comes again when all others had their turn. offset: of its `example_ids` among those
    of all members. redraw: of a member with a cap, see `MixtureConfig`.
    """

    def __init__(self, member: Member, split: str, seed: int, redraw: bool, offset: int) -> None:
        self._make = Maker(member.data, split)
        self._seed, self._offset = derive(seed, "member", member.name), offset
        self._own_ids = "example_ids" in member.data.batch
        count, cap = len(self._make), member.config.cap
        self._chosen: Ints | None = None
        if cap is not None and cap < count and not redraw:
            self._chosen = np.sort(self._generator("cap").permutation(count)[:cap]).astype(np.int64)
            count = cap
        self.count = count
        self._orders: OrderedDict[int, Any] = OrderedDict()

    @property
    def one_by_one(self) -> bool:
        """Whether the examples may draw on the global generators."""
        return self._make.one_by_one

    def _generator(self, *names: str | int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(derive(self._seed, *names)))

    def _order(self, number: int) -> Any:
        """Return the permutation of a pass."""
        if number not in self._orders:
            order = np.arange(self.count, dtype=np.uint32 if self.count < 2**32 else np.int64)
            self._generator("order", number).shuffle(order)
            self._orders[number] = order
            while len(self._orders) > _KEPT:
                self._orders.popitem(last=False)
        return self._orders[number]

    def rows(self, positions: Ints) -> tuple[Ints, Ints]:
        """Return (rows, passes) of positions int64[batch] in ascending order."""
        passes, places = np.divmod(positions, self.count)
        edges = (
            [0, *(np.flatnonzero(np.diff(passes)) + 1).tolist(), len(passes)] if passes[0] != passes[-1] else [0, len(passes)]
        )
        parts = [self._order(int(passes[first]))[places[first:last]] for first, last in pairwise(edges)]
        rows = np.concatenate(parts).astype(np.int64) if len(parts) > 1 else parts[0].astype(np.int64)
        return rows if self._chosen is None else self._chosen[rows], passes

    def batch(self, positions: Ints) -> Batch:
        """Return the batch of positions int64[batch]."""
        rows, passes = self.rows(positions)
        batch = self._make(rows, (derive(self._seed, "draw", number) for number in passes.tolist()))
        return batch if self._own_ids else {**batch, "example_ids": rows + self._offset}
