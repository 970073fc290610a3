"""Endless or finite batches of denoising examples, one denoiser drawn per example, with a state that can be saved."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from omnitrain.api import Batch, BatchPlan
from omnitrain_ul2.data.corrupting import Corrupter
from omnitrain_ul2.data.examples import Examples, join_examples
from omnitrain_ul2.data.packing import assign_rows
from omnitrain_ul2.data.segments import SegmentOrder
from omnitrain_ul2.paper.mixtures import MixtureSampler, generator_state, restore_generator
from omnitrain_ul2.paper.sentinels import Corrupted
from omnitrain_ul2.paper.spans import Ints


class ExampleSource:
    """Examples one after the other, each of a denoiser drawn by the mixture's rates.

    Training goes through every denoiser's own segments in a new random order each epoch; otherwise they come in order
    and end. The state is a position per denoiser and two generators, so going on costs the same wherever it stood.
    """

    def __init__(self, corrupter: Corrupter, split: str, plan: BatchPlan) -> None:
        self._corrupter, self._split, self._plan = corrupter, split, plan
        self._tables = corrupter.tables(split, plan.train)
        self._orders = [None if t is None else SegmentOrder(len(t), plan.seed + i) for i, t in enumerate(self._tables)]
        seeds = np.random.SeedSequence([plan.seed, plan.rank]).spawn(2)
        self._sampler = MixtureSampler(corrupter.mixture, int(seeds[0].generate_state(1, np.uint64)[0]))
        self._generator = np.random.default_rng(seeds[1])
        self._positions = np.zeros(len(self._tables), np.int64)
        self.left = None if plan.train else self._once()

    def _once(self) -> int:
        """Examples of one pass: as many as the drawn denoisers have segments on average."""
        sizes = [0 if table is None else len(table) for table in self._tables]
        rows = sum(p * n for p, n in zip(self._corrupter.mixture.probabilities, sizes, strict=True))
        return max(1, math.ceil(rows / self._plan.world))

    def draw(self, rows: int) -> Examples:
        """Return the next examples, fewer at the end of a finite split."""
        if self.left is not None:
            rows = min(rows, self.left)
            self.left -= rows
        tasks = self._sampler.draw(rows)
        starts, lengths = self._places(tasks)
        sides = self._corrupter.corrupt(self._split, (starts, lengths), tasks, self._corrupter.planned, self._generator)
        return Examples(sides, tasks, starts)

    def _places(self, tasks: Ints) -> tuple[Ints, Ints]:
        plan = self._plan
        starts, lengths = np.empty_like(tasks), np.empty_like(tasks)
        for number, (table, order) in enumerate(zip(self._tables, self._orders, strict=True)):
            chosen = np.flatnonzero(tasks == number)
            if table is None or order is None or not len(chosen):
                continue
            positions = (self._positions[number] + np.arange(len(chosen))) * plan.world + plan.rank
            self._positions[number] += len(chosen)
            numbers = order(positions) if plan.train else positions % len(table)
            starts[chosen], lengths[chosen] = table.places(numbers)
        return starts, lengths

    def state_dict(self) -> dict[str, Any]:
        """Return positions, sampler, generator and examples left."""
        return {
            "positions": self._positions.copy(),
            "sampler": self._sampler.state_dict(),
            "generator": generator_state(self._generator),
            "left": self.left,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where that state stood.

        Raises DataError when it belongs to another mixture.
        """
        self._sampler.load_state_dict(state["sampler"])
        restore_generator(self._generator, state["generator"])
        self._positions = np.array(state["positions"], np.int64)
        self.left = state["left"]


class Seen:
    """Counts of what a stream gave. by_task: examples, input tokens and target tokens, int64[denoisers, 3].

    used, room: tokens and positions of the batches so far, int64[sides]; an encoder-decoder has two sides, a decoder one.
    """

    def __init__(self, denoisers: int, sides: int) -> None:
        self.by_task = np.zeros((denoisers, 3), np.int64)
        self.used, self.room = np.zeros(sides, np.int64), np.zeros(sides, np.int64)

    def add(self, examples: Examples, sizes: Ints, room: Sequence[int] | Ints) -> None:
        """Count a batch. sizes: int64[examples, sides], tokens of each example; room: positions of each side."""
        sides = examples.sides
        np.add.at(self.by_task[:, 0], examples.tasks, 1)
        np.add.at(self.by_task[:, 1], examples.tasks, sides.input_lengths)
        np.add.at(self.by_task[:, 2], examples.tasks, sides.target_lengths)
        self.used += sizes.sum(axis=0)
        self.room += room

    def state_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {"by_task": self.by_task.copy(), "used": self.used.copy(), "room": self.room.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting from a saved state."""
        self.by_task, self.used, self.room = (np.array(state[name], np.int64) for name in ("by_task", "used", "room"))


class DenoisingStream:
    """Batches of one example a row."""

    def __init__(self, corrupter: Corrupter, split: str, plan: BatchPlan) -> None:
        self._corrupter, self._rows = corrupter, plan.batch_size
        self._source = ExampleSource(corrupter, split, plan)
        self.seen = Seen(len(corrupter.mixture.denoisers), len(corrupter.capacity))

    def __iter__(self) -> Iterator[Batch]:
        while self._source.left is None or self._source.left > 0:
            examples = self._source.draw(self._rows)
            sizes = self._corrupter.sizes(examples.sides)
            self.seen.add(examples, sizes, len(examples) * sizes.max(axis=0))
            yield self._corrupter.lay_out(examples)

    def state_dict(self) -> dict[str, Any]:
        """Return the source's state and the counts."""
        return {"source": self._source.state_dict(), "seen": self.seen.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where that state stood."""
        self._source.load_state_dict(state["source"])
        self.seen.load_state_dict(state["seen"])


class PackedStream(DenoisingStream):
    """Batches of rows that hold several whole examples each; what finds no room waits for the next batch."""

    def __init__(self, corrupter: Corrupter, split: str, plan: BatchPlan) -> None:
        super().__init__(corrupter, split, plan)
        self._waiting = self._source.draw(0)

    def __iter__(self) -> Iterator[Batch]:
        corrupter = self._corrupter
        while True:
            pool = self._fill(self._waiting)
            if not len(pool):
                return
            row = assign_rows(corrupter.sizes(pool.sides), corrupter.capacity, self._rows)
            self._waiting, packed = pool.take(np.flatnonzero(row < 0)), np.flatnonzero(row >= 0)
            examples, row = pool.take(packed), row[packed]
            rows = int(row.max()) + 1
            self.seen.add(examples, corrupter.sizes(examples.sides), rows * np.asarray(corrupter.capacity))
            yield corrupter.lay_out_packed(examples, row, rows)

    def _fill(self, pool: Examples) -> Examples:
        """Draw until the examples could fill all rows, or the split ends."""
        room = self._rows * np.asarray(self._corrupter.capacity)
        while (self._corrupter.sizes(pool.sides).sum(axis=0) < room).all() and self._source.left != 0:
            pool = join_examples(pool, self._source.draw(self._rows), self._corrupter.vocabulary.pad_id)
        return pool

    def state_dict(self) -> dict[str, Any]:
        """Return the stream's state and the examples that wait."""
        waiting, sides = self._waiting, self._waiting.sides
        kept = {
            "inputs": sides.inputs,
            "input_lengths": sides.input_lengths,
            "targets": sides.targets,
            "target_lengths": sides.target_lengths,
            "tasks": waiting.tasks,
            "starts": waiting.starts,
        }
        return {**super().state_dict(), "waiting": {name: array.copy() for name, array in kept.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where that state stood."""
        super().load_state_dict(state)
        kept = {name: np.array(array) for name, array in state["waiting"].items()}
        sides = (kept["inputs"], kept["input_lengths"], kept["targets"], kept["target_lengths"])
        self._waiting = Examples(Corrupted(*sides), kept["tasks"], kept["starts"])
