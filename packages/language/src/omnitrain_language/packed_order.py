"""The order of packed rows: planned anew each epoch, entered anywhere by one number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from omnitrain.api import Batch, BatchPlan
from omnitrain.errors import DataError
from omnitrain_language.order import permute
from omnitrain_language.packing import Ints, PackingPlan, plan_best_fit, plan_in_order

Packing = Literal["in-order", "best-fit"]
Pieces = Sequence[tuple[PackingPlan, Ints]]


def plan_epoch(lengths: Ints, capacity: int, packing: Packing, seed: int | None, epoch: int) -> PackingPlan:
    """Return the rows of an epoch in the order in which they are seen, drawn from (seed, epoch).

    lengths: tokens of each item, int64[items]. Without a seed items are taken as they come.
    """
    order = np.arange(len(lengths))
    if seed is not None:
        order = permute(order, len(order), seed, epoch)
    if packing == "in-order":
        plan = plan_in_order(lengths[order], capacity)
    else:
        plan = plan_best_fit(lengths[order], capacity, oldest=True)
        if seed is not None:
            # Its rows come from long to short items.
            plan = plan.in_order(permute(np.arange(plan.rows), plan.rows, seed, epoch))
    return PackingPlan(order[plan.order], plan.first, plan.start, capacity)


class PackedStream:
    """Batches of packed rows; every item is seen once per epoch, over all processes.

    items: how many are packed. planned: the rows of an epoch in the order in which they are seen; one that is not trained on
    has only epoch 0. gather: makes a batch of row numbers of plans, -1 for a row without loss. The state is the number of
    items seen, which is the beginning of a row, valid for another number of processes too.
    """

    def __init__(
        self, items: int, plan: BatchPlan, planned: Callable[[int], PackingPlan], gather: Callable[[Pieces], Batch]
    ) -> None:
        if items < 1:
            raise DataError("a split has no rows: it needs more dialogues, or a larger length")
        self._items, self._plan, self._planned, self._gather = items, plan, planned, gather
        self._position = 0
        self._kept: tuple[int, PackingPlan] | None = None

    def _of_epoch(self, epoch: int) -> PackingPlan:
        if self._kept is None or self._kept[0] != epoch:
            self._kept = epoch, self._planned(epoch)
        return self._kept[1]

    def _next_rows(self, count: int) -> list[tuple[PackingPlan, Ints]]:
        """Return the next rows, over the ends of epochs where it is trained on, and go behind them."""
        found = []
        while count:
            epoch, within = divmod(self._position, self._items)
            if epoch and not self._plan.train:
                break
            plan = self._of_epoch(epoch)
            first = int(np.searchsorted(plan.first, within))
            rows = np.arange(first, min(first + count, plan.rows))
            found.append((plan, rows))
            count -= len(rows)
            self._position = epoch * self._items + int(plan.first[rows[-1] + 1])
        return found

    def __iter__(self) -> Iterator[Batch]:
        plan = self._plan
        while plan.train or self._position < self._items:
            found = self._next_rows(plan.world * plan.batch_size)
            yield self._gather(found if plan.world == 1 else self._of_process(found))

    def _of_process(self, found: Pieces) -> Pieces:
        """Return the rows of this process; where there are too few for all, every process gets rows without loss."""
        plan = self._plan
        size, before, own = plan.batch_size, 0, list[tuple[PackingPlan, Ints]]()
        for planned, rows in found:
            first, last = (min(max(edge - before, 0), len(rows)) for edge in (plan.rank * size, (plan.rank + 1) * size))
            own += [(planned, rows[first:last])] if last > first else []
            before += len(rows)
        missing = size - sum(len(rows) for _, rows in own)
        return [*own, (found[0][0], np.full(missing, -1))] if missing else own

    def state_dict(self) -> dict[str, Any]:
        """Return the position, counted in items over all epochs and processes."""
        return {"position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue at that position; the epoch it lies in is planned again."""
        self._position = int(state["position"])
