"""From data to micro-batches: an order that is a function of seed and step, so that resuming costs nothing."""

from __future__ import annotations

import atexit
import copy
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from omnitrain.api.data import Batch, Data
from omnitrain.api.fields import parse_field
from omnitrain.api.protocols import BatchPlan, DrawsExamples, Gathers, OrdersBatches, SplitsBatches
from omnitrain.engine.rng import isolated
from omnitrain.errors import DataError, EnvironmentFault, OmnitrainError, UsageError
from omnitrain.runs.seeds import derive


class Feed(Protocol):
    """Gives the micro-batches of one update at a time, and can be saved and continued."""

    def next(self) -> list[Batch] | None:
        """Return the micro-batches of the next update, or None at the end of the split.

        An exception is always a fault: nothing that goes through data has to tell the two apart.
        """

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...

    def close(self) -> None:
        """End the worker processes, if any."""


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


class MapFeed:
    """Feed over examples with an index, in this process or in worker processes; both give the same batches."""

    def __init__(self, data: Data, split: str, plan: BatchPlan, accumulate: int, workers: int = 0) -> None:
        self._data, self._split, self._plan, self._accumulate = data, split, plan, accumulate
        self._examples = data.examples(split)
        if not len(self._examples):
            raise DataError(f"The split {split!r} has no examples.")
        self._order = EpochOrder(len(self._examples), plan)
        self._gather = data.gather if isinstance(data, Gathers) else None
        self._draw = data.example if isinstance(data, DrawsExamples) else None
        self._update = 0
        self._workers = workers
        self._stream: Iterator[list[Batch]] | None = None

    def fetch(self, update: int) -> list[Batch]:
        """Return the micro-batches of any update: a function of the seed and its number."""
        rows, epoch = self._order.rows(update)
        parts = [rows] if self._accumulate == 1 else np.array_split(rows, min(self._accumulate, len(rows)))
        if self._gather is not None:
            return [{"example_ids": p, **self._gather(self._split, p)} for p in parts]
        if self._draw is not None:
            draw, seed = self._draw, derive(self._plan.seed, "draw", epoch)
            return [self._collate(p, [draw(self._split, int(i), derive(seed, int(i))) for i in p]) for p in parts]
        with isolated(derive(self._plan.seed, "draw", update, self._plan.rank)):
            return [self._collate(p, [self._examples[int(i)] for i in p]) for p in parts]

    def _collate(self, rows: np.ndarray, examples: list[Any]) -> Batch:
        return {"example_ids": rows, **self._data.collate(examples)}

    def next(self) -> list[Batch] | None:
        """Return the micro-batches of the next update; None after the only pass of an evaluation."""
        if not self._plan.train and self._update >= self._order.per_epoch:
            return None
        batches = self._next_of_workers() if self._workers else self.fetch(self._update)
        self._update += 1
        return batches

    def _next_of_workers(self) -> list[Batch]:
        if self._stream is None:
            self._stream = iter(_loader(self, self._update, self._workers))
            atexit.register(self.close)
        try:
            batches = next(self._stream)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise EnvironmentFault(
                f"A data worker died ({str(error).splitlines()[0]}); the machine may be out of memory: lower fit.workers."
            ) from error
        if isinstance(batches, OmnitrainError):
            raise batches
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the next update."""
        return {"update": self._update}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position; takes the same time wherever it is."""
        self._update = int(state["update"])
        self.close()

    def close(self) -> None:
        """End the worker processes; left alone, they would keep the interpreter from ending."""
        self._stream = None
        atexit.unregister(self.close)


class _Fetch(torch.utils.data.Dataset[list[Batch] | OmnitrainError]):
    def __init__(self, feed: MapFeed) -> None:
        self._feed = feed

    def __getitem__(self, update: int) -> list[Batch] | OmnitrainError:
        try:
            return self._feed.fetch(update)
        except OmnitrainError as error:  # given back as it is; torch would raise it again with a traceback for its text
            return error


class _From(torch.utils.data.Sampler[int]):
    def __init__(self, start: int) -> None:
        self._start = start

    def __iter__(self) -> Iterator[int]:
        update = self._start
        while True:
            yield update
            update += 1


def _outlive_request(worker: int) -> None:
    """Workers outlive the request to stop, so that the main process can finish its update with them.

    A second SIGTERM ends them, which is how `multiprocessing` ends those that are left.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(number, signal.SIG_DFL))
    torch.set_num_threads(1)


def _loader(feed: MapFeed, start: int, workers: int) -> torch.utils.data.DataLoader[Any]:
    bare = copy.copy(feed)
    bare._stream = None
    with isolated():
        return torch.utils.data.DataLoader(
            _Fetch(bare),
            sampler=_From(start),
            batch_size=None,
            num_workers=workers,
            worker_init_fn=_outlive_request,
            multiprocessing_context="fork",
            persistent_workers=True,
            generator=torch.Generator().manual_seed(0),
        )


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
    if not isinstance(data, SplitsBatches):
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
    """Return the feed for a split: the data's own order where it has one, else shuffled examples.

    Raises DataError for an unknown or empty split and for data that is neither a sequence nor orders its batches.
    """
    known = list(data.splits())
    if split not in known:
        raise DataError(f"The data has no split {split!r}; it has {', '.join(known) or 'none'}.")
    if isinstance(data, OrdersBatches):
        return StreamFeed(data, split, plan, accumulate)
    examples = data.examples(split)
    if not hasattr(examples, "__len__") or not hasattr(examples, "__getitem__"):
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
    examples = None if isinstance(data, OrdersBatches) else data.examples(split)
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
