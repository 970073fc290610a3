"""Work on the missing items of a ledger, here or in other processes."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from typing import Any, Protocol

from omnitrain.errors import EnvironmentFault, Stopped
from omnitrain.runs.files import encode

POLL_S = 0.2
AHEAD = 4  # items handed out per worker
ORDERED_AHEAD = 10_000  # names that wait behind a slow item

OnError = Callable[[str, Exception], None]
Names = Generator[str | None, None, None]


class Finished(Protocol):
    """Where finished items are kept: a ledger."""

    def __contains__(self, key: str) -> bool: ...

    def add(self, key: str, value: Any) -> None:
        """Keep an item."""

    def add_encoded(self, key: str, value: str) -> None:
        """Keep an item whose value is JSON already."""


def finished_names(
    ledger: Finished,
    function: Callable[[Any], Any],
    items: Iterable[Any],
    key: Callable[[Any], str],
    workers: int,
    ordered: bool,
    on_error: OnError | None,
    check: Callable[[], None],
) -> Names:
    """Yield the key of each item once the ledger has it, or None for one that is left out. See omnitrain.api.Ledger.map."""
    if not workers:
        return _here(ledger, function, items, key, on_error, check)
    return _Elsewhere(ledger, function, key, workers, ordered, on_error, check).names(items)


def _here(
    ledger: Finished,
    function: Callable[[Any], Any],
    items: Iterable[Any],
    key: Callable[[Any], str],
    on_error: OnError | None,
    check: Callable[[], None],
) -> Names:
    for item in items:
        name = key(item)
        if name in ledger:
            yield name
            continue
        check()
        try:
            value = function(item)
        except Exception as error:
            _tell(name, error, on_error)
            yield None
        else:
            ledger.add(name, value)
            yield name


def _tell(name: str, error: Exception, on_error: OnError | None) -> None:
    """Hand an error to who asked for it, else raise it with a note that names the item."""
    if on_error is None or isinstance(error, Stopped):
        error.add_note(f"This happened at the item {name!r}.")
        raise error
    on_error(name, error)


class _Elsewhere:
    """Items in worker processes: new interpreters, since forking a process that has threads (torch) may hang."""

    def __init__(
        self,
        ledger: Finished,
        function: Callable[[Any], Any],
        key: Callable[[Any], str],
        workers: int,
        ordered: bool,
        on_error: OnError | None,
        check: Callable[[], None],
    ) -> None:
        self._ledger, self._function, self._key, self._workers = ledger, function, key, workers
        self._ordered, self._on_error, self._check = ordered, on_error, check
        self._waiting: deque[str] = deque()
        self._running: dict[str, Future[str]] = {}
        self._left_out: set[str] = set()

    def names(self, items: Iterable[Any]) -> Names:
        """Yield keys as `finished_names` does."""
        rest, more = iter(items), True
        with _Pool(self._workers) as pool:
            try:
                while more or self._waiting:
                    more = more and self._hand_out(rest, pool)
                    for name in self._settled():
                        yield None if name in self._left_out else name
                    self._collect()
            except BaseException:
                self._keep_finished()
                raise

    def _hand_out(self, rest: Any, pool: _Pool) -> bool:
        """Submit items until enough are on their way; return whether there may be more."""
        while len(self._running) < AHEAD * self._workers and len(self._waiting) < ORDERED_AHEAD:
            try:
                item = next(rest)
            except StopIteration:
                return False
            name = self._key(item)
            if name not in self._ledger and name not in self._running:
                self._left_out.discard(name)
                try:
                    self._running[name] = pool.submit(self._function, item)
                except BrokenProcessPool as error:  # died between two items that were handed out
                    raise self._died(name) from error
            self._waiting.append(name)
        return True

    def _died(self, name: str) -> EnvironmentFault:
        """Return the error of a worker that ended by itself; raises Stopped where it ended on request."""
        self._check()
        return EnvironmentFault(
            f"A worker process died while it worked on items such as {name!r} (memory?); take fewer workers."
        )

    def _settled(self) -> list[str]:
        """Take what can be given on from those that wait."""
        if not self._ordered:
            found = [name for name in self._waiting if name not in self._running]
            self._waiting = deque(name for name in self._waiting if name in self._running)
            return found
        found = []
        while self._waiting and self._waiting[0] not in self._running:
            found.append(self._waiting.popleft())
        return found

    def _collect(self) -> None:
        """Wait for a finished item, add all that are finished."""
        self._check()
        done = wait(self._running.values(), POLL_S, FIRST_COMPLETED).done if self._running else ()
        for name in [name for name, future in self._running.items() if future in done]:
            future = self._running.pop(name)
            try:
                value = future.result()
            except BrokenProcessPool as error:
                raise self._died(name) from error
            except Exception as error:
                self._left_out.add(name)
                _tell(name, error, self._on_error)
            else:
                self._ledger.add_encoded(name, value)

    def _keep_finished(self) -> None:
        """Add what was finished when the work ended early."""
        with suppress(EnvironmentFault):  # a disk that is full; that error is under way already
            for name, future in self._running.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    self._ledger.add_encoded(name, future.result())


class _Pool:
    """Worker processes that end with this one, and at once when the work ends early."""

    def __init__(self, workers: int) -> None:
        context = get_context("spawn")
        self._watched, self._held = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(self._watched,))

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._held.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._held.close()
        self._watched.close()

    def submit(self, function: Callable[[Any], Any], item: Any) -> Future[str]:
        """Hand out one item."""
        return self._pool.submit(_call, function, item)


def _begin(watched: connection.Connection) -> None:
    """Leave signals to the first process, compute with one thread unless told otherwise, and end when that process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([watched, parent.sentinel])
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def _call(function: Callable[[Any], Any], item: Any) -> str:
    """Work on an item; return its value as JSON.

    Raises what the function raises, as RuntimeError where that can't be sent between processes.
    """
    try:
        return encode(function(item))
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        except Exception:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        raise
