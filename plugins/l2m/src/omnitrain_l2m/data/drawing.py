"""Steps of several tasks as one sequence, and batches of them that alternate between domains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from omnitrain.api import Batch, BatchPlan
from omnitrain_control.windows import Ints, chosen, drawn_steps
from omnitrain_l2m.paper.sampling import domains_of


class Steps(Sequence[int]):
    """Parts behind each other, without an array of all: each a range or array of steps, moved by an offset."""

    def __init__(self, parts: Sequence[tuple[Ints | range, int]]) -> None:
        self._parts = list(parts)
        self._ends = np.cumsum([0, *(len(steps) for steps, _ in parts)])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        return int(self.take(np.array([row % len(self)]))[0])

    def take(self, rows: Ints) -> Ints:
        """Return the steps of rows, int64[row]."""
        found = np.zeros(len(rows), np.int64)
        parts = np.searchsorted(self._ends, rows, side="right") - 1
        for number in np.unique(parts):
            own = parts == number
            steps, offset = self._parts[number]
            found[own] = chosen(steps, rows[own] - self._ends[number]) + offset
        return found


class DomainStream:
    """Endless batches of drawn steps for training, else every step of `fixed` once. State: the number of the next batch.

    A step drawn uniformly from a domain's steps is a trajectory in proportion to its length and a uniform start in it. What a
    batch holds is a function of the plan's seed and its number. alternate: see `TasksConfig`.
    """

    def __init__(
        self, make: Callable[[Ints], Batch], domains: Sequence[Steps], fixed: Steps, alternate: str, plan: BatchPlan
    ) -> None:
        self._make, self._domains, self._fixed = make, list(domains), fixed
        self._alternate, self._plan, self._next = alternate, plan, 0

    def __iter__(self) -> Iterator[Batch]:
        while (steps := self._steps(self._next)) is not None:
            self._next += 1
            yield {"example_ids": steps, **self._make(steps)}

    def _steps(self, number: int) -> Ints | None:
        plan = self._plan
        count = plan.batch_size * plan.world
        if plan.train:
            return self._drawn(number, count)[plan.rank :: plan.world]
        rows = np.arange(number * count, min((number + 1) * count, len(self._fixed)))
        if not len(rows):
            return None
        return self._fixed.take(np.resize(rows, max(len(rows), plan.world)))[plan.rank :: plan.world]

    def _drawn(self, number: int, count: int) -> Ints:
        domains, seed = self._domains, self._plan.seed
        if self._alternate == "mixed":
            return self._fixed.take(drawn_steps(len(self._fixed), count, seed, number))
        if self._alternate == "batches":
            own = domains[int(domains_of(number * count, 1, count, len(domains))[0])]
            return own.take(drawn_steps(len(own), count, seed, number))
        sizes = np.diff(np.linspace(0, count, len(domains) + 1).astype(int))
        parts = [
            d.take(drawn_steps(len(d), s, seed, number * len(domains) + n))
            for n, (d, s) in enumerate(zip(domains, sizes, strict=True))
        ]
        return np.concatenate(parts)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the next batch."""
        return {"next": self._next}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with that batch; takes the same time wherever it is."""
        self._next = int(state["next"])
