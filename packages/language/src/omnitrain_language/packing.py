"""Packing: which documents share a row, and rows gathered with segment ids."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PackingPlan:
    """Where each item lies. order: items sorted by (row, start), int64[items]; first: the index in `order` of each
    row's first item, int64[rows + 1]; start: start of each item of `order` in its row, int64[items]."""

    order: Ints
    first: Ints
    start: Ints
    capacity: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.first) - 1

    def in_order(self, rows: Ints) -> PackingPlan:
        """Return the plan with its rows in another order; rows: a permutation, int64[rows]."""
        counts = np.diff(self.first)[rows]
        first = np.concatenate([[0], np.cumsum(counts)])
        place = np.arange(first[-1]) + np.repeat(self.first[rows] - first[:-1], counts)
        return PackingPlan(self.order[place], first, self.start[place], self.capacity)


def _checked(lengths: NDArray[Any], capacity: int) -> Ints:
    lengths = np.asarray(lengths, np.int64)
    if len(lengths) and not (lengths.min() >= 1 and lengths.max() <= capacity):
        raise ValueError(f"lengths must lie in 1..{capacity}, found {lengths.min()}..{lengths.max()}")
    return lengths


def plan_in_order(lengths: NDArray[Any], capacity: int) -> PackingPlan:
    """Pack items into rows of `capacity` as they come: the next one that does not fit begins a row.

    lengths: int[items], each in 1..capacity. Raises ValueError for other lengths.
    """
    lengths = _checked(lengths, capacity)
    begins: list[int] = []
    room = 0
    for number, need in enumerate(lengths.tolist()):
        if need > room:
            begins.append(number)
            room = capacity
        room -= need
    first = np.asarray([*begins, len(lengths)], np.int64)
    before = np.cumsum(lengths) - lengths
    start = before - np.repeat(before[first[:-1]], np.diff(first))
    return PackingPlan(np.arange(len(lengths)), first, start, capacity)


def plan_best_fit(lengths: NDArray[Any], capacity: int, oldest: bool = False) -> PackingPlan:
    """Pack items into rows of `capacity`, each into the row where least room is left, longest items first.

    A bit mask over the amounts of remaining room makes the search for the best row one shift and one lowest bit,
    whatever the number of rows. lengths: int[items], each in 1..capacity. oldest: of rows with equal room the one that was
    begun first is taken, as trl does, else the one that was filled last. Raises ValueError for other lengths.
    """
    lengths = _checked(lengths, capacity)
    take: Callable[[list[int]], int] = heapq.heappop if oldest else list.pop
    put: Callable[[list[int], int], None] = heapq.heappush if oldest else list.append
    longest_first = np.argsort(-lengths, kind="stable")
    row_of = np.empty(len(lengths), np.int64)
    open_rows: dict[int, list[int]] = defaultdict(list)
    mask = rows = 0
    assigned = []
    for need in lengths[longest_first].tolist():
        fitting = mask >> need
        if fitting:
            room = need + (fitting & -fitting).bit_length() - 1
            candidates = open_rows[room]
            row = take(candidates)
            if not candidates:
                mask ^= 1 << room
        else:
            room, row = capacity, rows
            rows += 1
        left = room - need
        if left:
            put(open_rows[left], row)
            mask |= 1 << left
        assigned.append(row)
    row_of[longest_first] = assigned
    order = longest_first[np.argsort(row_of[longest_first], kind="stable")]
    first = np.searchsorted(row_of[order], np.arange(rows + 1))
    before = np.cumsum(lengths[order]) - lengths[order]
    start = before - before[first[row_of[order]]] if len(order) else before
    return PackingPlan(order, first, start, capacity)


def cut_to_capacity(starts: Ints, lengths: Ints, capacity: int) -> tuple[Ints, Ints]:
    """Cut stretches of a flat array that are longer than `capacity` into pieces: (starts, lengths) of all pieces."""
    pieces = -(-lengths // capacity)
    owner = np.repeat(np.arange(len(lengths)), pieces)
    index = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return starts[owner] + index * capacity, np.minimum(capacity, lengths[owner] - index * capacity)


@dataclass(frozen=True)
class PackedRows:
    """Arrays of packed rows. source: index into the flat array the items were cut from, -1 for padding, int64[rows,
    capacity]; segment_ids: 1, 2, ... and 0 for padding; position_ids restart at 0 in each segment."""

    source: Ints
    segment_ids: Ints
    position_ids: Ints


def gather_rows(plan: PackingPlan, starts: Ints, lengths: Ints, rows: Ints) -> PackedRows:
    """Lay out some rows of a plan at once. starts, lengths: of the items in the flat array; rows: int64[n]."""
    counts = plan.first[rows + 1] - plan.first[rows]
    row = np.repeat(np.arange(len(rows)), counts)
    index = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = np.repeat(plan.first[rows], counts) + index
    items = plan.order[place]
    sizes = lengths[items]
    position = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    target = np.repeat(row * plan.capacity + plan.start[place], sizes) + position
    shape = (len(rows), plan.capacity)
    source, segment_ids, position_ids = np.full(shape, -1), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    source.reshape(-1)[target] = np.repeat(starts[items], sizes) + position
    segment_ids.reshape(-1)[target] = np.repeat(index + 1, sizes)
    position_ids.reshape(-1)[target] = position
    return PackedRows(source, segment_ids, position_ids)


def pack(sequences: Sequence[NDArray[Any]], capacity: int, pad: int = 0) -> tuple[Ints, Ints, Ints]:
    """Pack whole sequences into rows: (ids, segment_ids, position_ids), each int64[rows, capacity].

    Raises ValueError for an empty sequence or one that is longer than a row.
    """
    lengths = np.asarray([len(s) for s in sequences], np.int64)
    plan = plan_best_fit(lengths, capacity)
    if not len(lengths):
        empty = np.zeros((0, capacity), np.int64)
        return empty, empty, empty
    flat = np.concatenate(sequences).astype(np.int64)
    rows = gather_rows(plan, np.cumsum(lengths) - lengths, lengths, np.arange(plan.rows))
    return np.where(rows.source < 0, pad, flat[rows.source]), rows.segment_ids, rows.position_ids
