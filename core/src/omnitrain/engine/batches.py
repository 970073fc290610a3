"""From data to micro-batches: an order that is a function of seed and step, so that resuming costs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnitrain.api.data import Batch, Data
from omnitrain.api.fields import parse_field
from omnitrain.api.protocols import (
    BatchPlan,
    DrawsExamples,
    Feed,
    Gathers,
    MakesFeed,
    MakesRounds,
    OrdersBatches,
    SplitsBatches,
)
from omnitrain.engine.feeds import IndexedFeed
from omnitrain.engine.rng import isolated
from omnitrain.errors import DataError, UsageError
from omnitrain.runs.seeds import derive


def example_ids(batches: Sequence[Batch]) -> list[Any]:
    """Return the ids of the examples in an update's micro-batches, as far as the batches carry them."""
    ids: list[Any] = []
    for batch in batches:
        found = batch.get("example_ids")
        if found is not None:
            ids.extend(found.tolist() if hasattr(found, "tolist") else list(found))
    return ids


class EpochOrder:
    """Rows of each update: a permutation per epoch, drawn from (seed, epoch); the last update of an epoch is shorter."""

    def __init__(self, count: int, plan: BatchPlan) -> None:
        if count == 0:
            raise DataError("The split has no examples.")
        self.count, self._plan = count, plan
        self._global = plan.batch_size * plan.world
        self.per_epoch = -(-count // self._global)
        self._epoch = -1
        self._order: np.ndarray = np.empty(0, np.int64)

    def rows(self, update: int) -> tuple[np.ndarray, int]:
        """Return (row numbers int64 of this process, epoch) of update 0, 1, 2, ..."""
        epoch, position = divmod(update, self.per_epoch)
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.PCG64(derive(self._plan.seed, "order", epoch)))
            dtype = np.uint32 if self.count < 2**32 else np.int64
            order = np.arange(self.count, dtype=dtype)
            if self._plan.train:
                generator.shuffle(order)
            self._order, self._epoch = order, epoch
        chosen = self._order[position * self._global : (position + 1) * self._global]
        if len(chosen) < self._plan.world:
            # A short last update still gives every process a row; with one process nothing is ever seen twice.
            chosen = np.resize(chosen, self._plan.world)
        return chosen[self._plan.rank :: self._plan.world].astype(np.int64), epoch


class Maker:
    """Makes batches of any rows of a split: gathered, drawn each with a seed of its own, or taken one by one.

    one_by_one: the examples may draw on the global generators, so isolate them.
    """

    def __init__(self, data: Data, split: str) -> None:
        self._data, self._split = data, split
        self._examples = data.examples(split)
        self._gather = data.gather if isinstance(data, Gathers) else None
        self._draw = data.example if isinstance(data, DrawsExamples) else None
        self.one_by_one = self._gather is None and self._draw is None

    def __len__(self) -> int:
        return len(self._examples)

    def __call__(self, rows: np.ndarray, seeds: Iterable[int]) -> Batch:
        """Return the batch of rows int64[batch]. seeds: for each row, of the pass in which it is drawn."""
        if self._gather is not None:
            return {"example_ids": rows, **self._gather(self._split, rows)}
        if self._draw is None:
            examples = [self._examples[int(row)] for row in rows]
        else:
            pairs = zip(rows.tolist(), seeds, strict=False)
            examples = [self._draw(self._split, row, derive(seed, row)) for row, seed in pairs]
        return {"example_ids": rows, **self._data.collate(examples)}


def is_indexed(data: Data, split: str) -> bool:
    """Whether a batch of any examples can be made by their numbers, as of data with an own order that gathers rows too."""
    if isinstance(data, MakesFeed) or (isinstance(data, OrdersBatches) and not isinstance(data, Gathers)):
        return False
    examples = data.examples(split)
    return hasattr(examples, "__len__") and hasattr(examples, "__getitem__")


class MapFeed(IndexedFeed):
    """Feed over examples with an index, in a new order each pass."""

    def __init__(self, data: Data, split: str, plan: BatchPlan, accumulate: int, workers: int = 0) -> None:
        self._plan, self._accumulate = plan, accumulate
        self._make = Maker(data, split)
        if not len(self._make):
            later = " before the model has made a round of them" if isinstance(data, MakesRounds) else ""
            raise DataError(f"The split {split!r} has no examples{later}.")
        self._order = EpochOrder(len(self._make), plan)
        super().__init__(workers, None if plan.train else self._order.per_epoch)

    def fetch(self, update: int) -> list[Batch]:
        """Return the micro-batches of any update: a function of the seed and its number."""
        rows, epoch = self._order.rows(update)
        parts = [rows] if self._accumulate == 1 else np.array_split(rows, min(self._accumulate, len(rows)))
        if self._make.one_by_one:
            with isolated(derive(self._plan.seed, "draw", update, self._plan.rank)):
                return [self._make(p, ()) for p in parts]
        seeds = repeat(derive(self._plan.seed, "draw", epoch))
        return [self._make(p, seeds) for p in parts]


class StreamFeed:
    """Feed over data that orders its own batches; each is cut into micro-batches."""

    def __init__(self, data: Data, split: str, plan: BatchPlan, accumulate: int) -> None:
        assert isinstance(data, OrdersBatches)
        if accumulate > 1:
            check_cuttable(data)
        self._data, self._accumulate = data, accumulate
        self._stream = data.batches(split, plan)
        self._iterator: Iterator[Batch] | None = None

    def next(self) -> list[Batch] | None:
        """Return the micro-batches of the next update, or None when the stream has ended."""
        if self._iterator is None:
            self._iterator = iter(self._stream)
        batch = next(self._iterator, None)
        if batch is None:
            return None
        if self._accumulate == 1:
            return [batch]
        if isinstance(self._data, SplitsBatches):
            return list(self._data.split_batch(batch, self._accumulate))
        return split_rows(batch, self._data.batch, self._accumulate)

    def state_dict(self) -> dict[str, Any]:
        """Return the stream's state."""
        return {"stream": self._stream.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the stream."""
        self._stream.load_state_dict(state["stream"])
        self._iterator = None

    def close(self) -> None:
        """Let go of the stream's iterator."""
        self._iterator = None


def check_cuttable(data: Data) -> None:
    """Refuse data whose batches come whole, in an order of its own, and can't be cut into micro-batches.

    Raises UsageError that names the fields without a dimension named "batch".
    """
    if isinstance(data, OrdersBatches) and not isinstance(data, SplitsBatches):
        required = {name: spec for name, spec in data.batch.items() if not parse_field(spec).optional}
        _batch_axes(required, data.batch)


def _batch_axes(names: Iterable[str], fields: Mapping[str, str]) -> dict[str, int]:
    """Return by field which of its dimensions is named "batch"."""
    axes = {"example_ids": 0} if "example_ids" in names else {}
    for name in names:
        dims = parse_field(fields[name]).dims or () if name in fields else ()
        if "batch" in dims:
            axes[name] = dims.index("batch")
    whole = [f"{name!r} ({fields.get(name, 'not declared')})" for name in names if name not in axes]
    if whole or not axes:
        raise UsageError(
            f"The batches can't be cut into micro-batches, since {', '.join(whole) or 'no field'} "
            f"{'has no' if whole else 'has a'} dimension named 'batch': set fit.accumulate=1, or give the data the method "
            "split_batch (omnitrain.api.SplitsBatches)."
        )
    return axes


def split_rows(batch: Batch, fields: Mapping[str, str], parts: int) -> list[Batch]:
    """Cut a batch along the dimension named "batch" of its fields.

    Raises UsageError where a field has none, since only its data can know which part of it belongs to which rows.
    """
    axes = _batch_axes(batch, fields)
    first = next(iter(axes))
    rows = len(batch[first]) if axes[first] == 0 else batch[first].shape[axes[first]]
    edges = [0, *np.cumsum([len(p) for p in np.array_split(np.arange(rows), min(parts, rows))]).tolist()]
    return [{k: _cut(v, axes[k], a, b) for k, v in batch.items()} for a, b in pairwise(edges)]


def _cut(value: Any, axis: int, start: int, end: int) -> Any:
    if axis == 0:
        return value[start:end]
    return value.narrow(axis, start, end - start) if isinstance(value, Tensor) else np.take(value, range(start, end), axis)


def make_feed(data: Data, split: str, plan: BatchPlan, accumulate: int = 1, workers: int = 0) -> Feed:
    """Return the feed for a split: the data's own, its own order where it has one, else shuffled examples.

    Raises DataError for an unknown or empty split and for data that is neither a sequence nor orders its batches.
    """
    known = list(data.splits())
    if split not in known:
        raise DataError(f"The data has no split {split!r}; it has {', '.join(known) or 'none'}.")
    if isinstance(data, MakesFeed):
        return data.feed(split, plan, accumulate, workers)
    if isinstance(data, OrdersBatches):
        return StreamFeed(data, split, plan, accumulate)
    if not is_indexed(data, split):
        return StreamFeed(_Buffered(data), split, plan, accumulate)
    return MapFeed(data, split, plan, accumulate, workers)


def in_order(data: Data, split: str, batch_size: int, *, seed: int = 0, most: int | None = None) -> Iterator[Batch]:
    """Yield the batches of a split once, in their fixed order, each made when it is asked for.

    Knows every kind of data: what gathers rows, draws examples or orders its own batches, and plain iterables. The last
    batch may be smaller. seed: of the draws, for data whose examples are random. most: end after so many batches.
    Raises DataError for an unknown or empty split, and whatever the data raises: a fault is never taken for the end.
    """
    feed = make_feed(data, split, BatchPlan(batch_size, seed, train=False))
    try:
        given = 0
        while (most is None or given < most) and (batches := feed.next()) is not None:
            given += 1
            yield from batches
    finally:
        feed.close()


def count_batches(data: Data, split: str, batch_size: int, most: int | None = None) -> int | None:
    """Return how many batches `in_order` will yield, or None where the data's length is not known."""
    examples = None if isinstance(data, (MakesFeed, OrdersBatches)) else data.examples(split)
    if examples is None or not hasattr(examples, "__len__"):
        return None
    count = -(-len(examples) // batch_size)
    return count if most is None else min(count, most)


class _Buffered:
    """Gives iterable data an order of batches: as it comes, again from its start at its end.

    An iterable with `state_dict` and `load_state_dict` is continued exactly in no time; another is read again up to
    the saved position.
    """

    def __init__(self, data: Data) -> None:
        self.data, self.batch, self.fingerprint = data, data.batch, data.fingerprint
        self.splits, self.examples, self.collate = data.splits, data.examples, data.collate
        if isinstance(data, SplitsBatches):
            self.split_batch = data.split_batch

    def batches(self, split: str, plan: BatchPlan) -> _IterableStream:
        """Return the stream of one split."""
        return _IterableStream(self.data, split, plan)


class _IterableStream:
    def __init__(self, data: Data, split: str, plan: BatchPlan) -> None:
        self._data, self._split, self._plan = data, split, plan
        self._source = data.examples(split)
        self._taken, self._passes = 0, 0
        self._iterator: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Batch]:
        while True:
            rows = self._rows()
            if not rows:
                if not self._plan.train:
                    return
                if self._taken == 0:
                    raise DataError(f"The split {self._split!r} has no examples.")
                self._taken, self._iterator, self._passes = 0, None, self._passes + 1
                continue
            yield self._data.collate(rows)

    def _rows(self) -> list[Any]:
        rows: list[Any] = []
        wanted = self._plan.batch_size * self._plan.world
        if self._iterator is None:
            self._iterator = iter(self._source)
        with isolated(derive(self._plan.seed, "draw", self._passes, self._taken)):
            for example in self._iterator:
                rows.append(example)
                if len(rows) == wanted:
                    break
        self._taken += len(rows)
        return rows[self._plan.rank :: self._plan.world]

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {"taken": self._taken, "passes": self._passes}
        if hasattr(self._source, "state_dict"):
            state["source"] = self._source.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._taken, self._passes = 0, int(state["passes"])
        self._source = self._data.examples(self._split)
        self._iterator = None
        if "source" in state:
            self._source.load_state_dict(state["source"])
            self._taken = int(state["taken"])
        while self._taken < int(state["taken"]):  # the same draws as before, for sources that keep drawn examples
            if not self._rows():
                raise DataError(f"The split {self._split!r} has fewer examples than when the checkpoint was taken.")


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Turn arrays into tensors and move everything to the device; other values and `example_ids` stay."""
    out: Batch = {}
    for name, value in batch.items():
        if name == "example_ids":
            continue
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            value = torch.from_numpy(value)
        if isinstance(value, Tensor) and value.device != device:
            value = value.to(device, non_blocking=True)
        out[name] = value
    return out
