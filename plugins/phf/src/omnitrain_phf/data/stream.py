"""The order in which training sees blocks: as the corpus has them, through a shuffle buffer that is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from omnitrain.api import Batch, BatchPlan
from omnitrain.errors import DataError
from omnitrain_phf.data.blocks import BlockReader, Blocks, join_blocks, no_blocks

MakeBatch = Callable[[Blocks, int], Batch]


class _Ahead:
    """Blocks of one epoch in their order; its state is the position before the buffer at hand, and a number."""

    def __init__(self, reader: BlockReader) -> None:
        self._reader = reader
        self._before = reader.position.state()
        self._buffer = no_blocks(reader.layout.length)
        self._used = 0
        self._made = 0

    def take(self, count: int) -> Blocks:
        """Return the next blocks: fewer than asked for at the end of the epoch only."""
        parts = [no_blocks(self._reader.layout.length)]
        while count > 0:
            if self._used == len(self._buffer):
                before = self._reader.position.state()
                found = self._reader.next()
                if found is None:
                    break
                self._before, self._buffer, self._used = before, found, 0
            part = self._buffer[self._used : self._used + count]
            parts.append(part)
            self._used += len(part)
            count -= len(part)
        return join_blocks(*parts)

    def restart(self) -> bool:
        """Begin the next epoch; say whether this one had any block, also one that was skipped."""
        made = self._reader.position.made
        fruitful = made > self._made
        self._made = made
        self._reader.restart()
        self._before, self._used = self._reader.position.state(), 0
        self._buffer = no_blocks(self._reader.layout.length)
        return fruitful

    def state(self) -> dict[str, Any]:
        return {"before": self._before, "used": self._used, "opened": len(self._buffer) > 0, "made": self._made}

    def load(self, state: Mapping[str, Any]) -> None:
        self._reader.load(state["before"])
        self._before = self._reader.position.state()
        self._buffer = no_blocks(self._reader.layout.length)
        if state["opened"]:
            self._buffer = self._reader.next() or self._buffer
        self._used, self._made = int(state["used"]), int(state["made"])


class ScoredStream:
    """Batches of blocks: endless and shuffled for training, once and in order for evaluation.

    Every process makes the same stream and takes its own rows of each batch, so that none sees another's and a state is
    good for any number of processes. At the end of an epoch the shuffle buffer is emptied before the next one begins, so
    that each block is seen once an epoch.
    """

    def __init__(self, reader: BlockReader, plan: BatchPlan, shuffle: int, make: MakeBatch) -> None:
        self._ahead, self._plan, self._make = _Ahead(reader), plan, make
        self._shuffle = shuffle if plan.train else 0
        self._length = reader.layout.length
        self._waiting = no_blocks(self._length)
        self._draining = False
        self._steps = 0

    def __iter__(self) -> Iterator[Batch]:
        plan = self._plan
        total = plan.batch_size * plan.world
        while True:
            blocks = self._next(total)
            if not len(blocks):
                return
            # All processes of an evaluation see the same number of batches: rows without loss make up for missing ones.
            missing = total - len(blocks) if plan.world > 1 else 0
            mine = np.arange(len(blocks) + missing)[plan.rank * plan.batch_size : (plan.rank + 1) * plan.batch_size]
            batch = self._make(blocks[np.minimum(mine, len(blocks) - 1)], total)
            if missing:
                batch["loss_weights"][mine >= len(blocks)] = 0
            yield batch

    def _next(self, total: int) -> Blocks:
        parts = [no_blocks(self._length)]
        have = 0
        while have < total:
            part = self._drawn(total - have)
            if not len(part):
                if not self._plan.train:
                    break
                self._new_epoch()
            parts.append(part)
            have += len(part)
        self._steps += 1
        return join_blocks(*parts)

    def _new_epoch(self) -> None:
        if not self._ahead.restart():
            raise DataError("The data gives no whole block: it needs more text, a smaller length or a higher filter_threshold.")
        self._draining = False

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng([self._plan.seed, self._steps, len(self._waiting)])

    def _drawn(self, count: int) -> Blocks:
        """Return up to `count` blocks of this epoch, none at its end."""
        if not self._shuffle:
            return self._ahead.take(count)
        if not self._draining and len(self._waiting) < self._shuffle:
            more = self._ahead.take(self._shuffle - len(self._waiting))
            self._waiting = join_blocks(self._waiting, more)
            if len(self._waiting) < self._shuffle:
                self._drain()
        if self._draining:
            chosen, self._waiting = self._waiting[:count], self._waiting[count:]
            return chosen
        return self._exchange(min(count, self._shuffle))

    def _drain(self) -> None:
        """Shuffle what is left of the epoch; it is then taken from the front."""
        self._waiting = self._waiting[self._generator().permutation(len(self._waiting))]
        self._draining = True

    def _exchange(self, count: int) -> Blocks:
        """Take random blocks out of the buffer and put the next ones of the corpus into their places."""
        slots = self._generator().choice(len(self._waiting), count, replace=False)
        chosen = self._waiting[slots]
        fresh = self._ahead.take(count)
        places = slots[: len(fresh)]
        for name, values in fresh.state().items():
            getattr(self._waiting, name)[places] = values
        if len(fresh) < count:
            left = np.ones(len(self._waiting), bool)
            left[slots[len(fresh) :]] = False
            self._waiting = self._waiting[left]
            self._drain()
        return chosen

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the corpus, the blocks that wait in the buffer, and what the next draws depend on."""
        return {
            "ahead": self._ahead.state(),
            "waiting": {name: array.copy() for name, array in self._waiting.state().items()},
            "draining": self._draining,
            "steps": self._steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly there; takes no longer far into the corpus than at its beginning."""
        self._ahead.load(state["ahead"])
        self._waiting = Blocks(**{name: np.array(array) for name, array in state["waiting"].items()})
        self._draining, self._steps = bool(state["draining"]), int(state["steps"])
