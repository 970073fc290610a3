"""Which member each turn is of: a function of the seed and the number of the turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnitrain.runs.seeds import derive

Ints = NDArray[np.int64]
_AT_ONCE = 4096
"""Turns that are planned together at least, whole cycles; short ones would be planned too often."""


class Turns:
    """Turns in cycles that each give member k exactly counts[k] turns.

    shuffled: in an order drawn from the seed, another in every cycle; otherwise the same, each member's turns spread evenly.
    """

    def __init__(self, counts: Sequence[int], shuffled: bool, seed: int) -> None:
        cycle = np.asarray(counts, np.int64)
        self._cycles = max(1, _AT_ONCE // int(cycle.sum()))
        self._counts = cycle * self._cycles
        self._length, self._shuffled, self._seed = int(self._counts.sum()), shuffled, seed
        self._cycle_of_members = np.repeat(np.arange(len(cycle)), cycle)
        own = np.concatenate([(np.arange(count) + 0.5) / count for count in cycle.tolist()])
        self._even = np.argsort(own, kind="stable")
        self._planned = -1
        self._members: Ints = np.empty(0, np.int64)
        self._earlier: Ints = np.empty(0, np.int64)

    def __call__(self, first: int, last: int) -> tuple[Ints, Ints]:
        """Return of the turns from `first` to below `last` the members, and how many turns each of them had before."""
        members, earlier = [], []
        while first < last:
            number, place = divmod(first, self._length)
            self._plan(number)
            end = min(place + last - first, self._length)
            found = self._members[place:end]
            members.append(found)
            earlier.append(self._earlier[place:end] + number * self._counts[found])
            first += end - place
        return np.concatenate(members), np.concatenate(earlier)

    def _plan(self, number: int) -> None:
        """Plan as many cycles as are planned at once."""
        if number == self._planned or (self._planned >= 0 and not self._shuffled):
            return
        members = np.tile(self._cycle_of_members[self._even], self._cycles)
        if self._shuffled:
            places = np.random.Generator(np.random.PCG64(derive(self._seed, "turns", number))).random(self._length)
            cycles = np.repeat(np.arange(self._cycles), len(self._even))
            members = members[np.argsort(cycles + places, kind="stable")]
        by_member = np.argsort(members, kind="stable")
        starts = np.cumsum(self._counts) - self._counts
        self._earlier = np.empty(self._length, np.int64)
        self._earlier[by_member] = np.arange(self._length) - np.repeat(starts, self._counts)
        self._members, self._planned = members, number
