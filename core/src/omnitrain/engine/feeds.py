"""Feeds whose updates are functions of their numbers, made in this process or in worker processes."""

from __future__ import annotations

import atexit
import copy
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from omnitrain.api.data import Batch
from omnitrain.engine.rng import isolated
from omnitrain.errors import EnvironmentFault, OmnitrainError


class IndexedFeed:
    """Feed that makes the batches of any update from its number; worker processes give the same batches.

    updates: how many there are, None for no end. A subclass has `fetch`; its state is the number of the next update.
    """

    def __init__(self, workers: int, updates: int | None) -> None:
        self._workers, self._updates = workers, updates
        self._update = 0
        self._stream: Iterator[list[Batch]] | None = None

    def fetch(self, update: int) -> list[Batch]:
        """Return the micro-batches of any update: a function of the seed and its number."""
        raise NotImplementedError

    def next(self) -> list[Batch] | None:
        """Return the micro-batches of the next update; None after the last."""
        if self._updates is not None and self._update >= self._updates:
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
    def __init__(self, feed: IndexedFeed) -> None:
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


def _loader(feed: IndexedFeed, start: int, workers: int) -> torch.utils.data.DataLoader[Any]:
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
