"""Finished items of a long job in an append-only file: keyed, durable, and checked line by line.

A line is `{"crc":"1f2e3d4c","key":"a","value":...}`; its digits are the CRC-32 of what stands behind them in the line.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from omnitrain.api.run import Progress
from omnitrain.errors import EnvironmentFault
from omnitrain.runs.files import encode, remove, sync_folder

FORMAT = 1
SYNC_LINES, SYNC_S = 1000, 2.0  # a line is written at once and forced to disk with others after so many or so long
_FIRST, _BODY = b'{"crc":"', 18  # how a line begins, and where what the digits cover begins
_LENGTH_BITS = 40  # an entry of the index is one number: offset and length of the line

Item = TypeVar("Item")
ShowProgress = Callable[[str, float | None], AbstractContextManager[Progress]]

_decoder = json.JSONDecoder()


def _line(key: str, value: str) -> bytes:
    body = f'"key":{encode(key)},"value":{value}}}'.encode("utf-8", "surrogatepass")
    return b'%s%08x",%s' % (_FIRST, zlib.crc32(body), body)


def _is_whole(line: bytes) -> bool:
    digits = b'%s%08x",' % (_FIRST, zlib.crc32(line[_BODY:]))
    return line[:_BODY] == digits


def _records(line: bytes) -> list[tuple[int, bytes]]:
    """Return place and text of what is whole in a line: itself, or two records where the line end between was damaged."""
    if _is_whole(line):
        return [(0, line)]
    at = line.find(_FIRST, 1)
    while at > 0:
        found = [(place, part) for place, part in ((0, line[: at - 1]), (at, line[at:])) if _is_whole(part)]
        if found:
            return found
        at = line.find(_FIRST, at + 1)
    return []


class Ledger:
    """Finished items by text key; see omnitrain.api.Ledger for what its methods promise.

    directory: holds the file of items and `folder`. identity: of what the items were made with; items of another identity
    are cleared. writes: false to keep nothing beyond this process. warn: told what was damaged or cleared. progress, check:
    of a run, to show work and to stop it on request.
    Several processes may add to one ledger; each sees what the others added when it adds something itself.
    Raises EnvironmentFault when the file can't be read or written.
    """

    def __init__(
        self,
        directory: Path,
        identity: str = "",
        *,
        writes: bool = True,
        warn: Callable[[str], None] | None = None,
        progress: ShowProgress | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self.name, self._directory, self._path = directory.name, directory, directory / "items.jsonl"
        self._warn, self._progress = warn or _say_nothing, progress or _show_nothing
        self._check = check or _never_stop
        self._index: dict[str, int] = {}
        self._head: Any = None
        self._end, self._lines, self._unsynced, self._synced = 0, 0, 0, time.monotonic()
        self._guard = threading.RLock()
        try:
            self._file = self._opened() if writes else self._copied()
            with self._locked():
                self._catch_up()
                self._settle(identity)
        except OSError as error:
            raise EnvironmentFault(f"{self._path} can't be opened: {error.strerror}.") from error

    @property
    def folder(self) -> Path:
        """The folder for files of items."""
        place = self._directory / "files"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._index))

    def __getitem__(self, key: str) -> Any:
        entry = self._index[key]
        line = os.pread(self._file, entry & (1 << _LENGTH_BITS) - 1, entry >> _LENGTH_BITS)
        if not _is_whole(line):
            raise EnvironmentFault(f"{self._path}: the item {key!r} was damaged after it was found whole; run again.")
        return json.loads(line.decode("utf-8", "surrogatepass"))["value"]

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield keys and values in the order in which keys were first added."""
        for key in self:
            yield key, self[key]

    def add(self, key: str, value: Any) -> None:
        """Keep an item.

        Raises TypeError or ValueError for a value that is not plain JSON and for an empty key.
        """
        self.add_encoded(key, encode(value))

    def add_encoded(self, key: str, value: str) -> None:
        """Keep an item whose value is JSON already, in one line."""
        if not key:
            raise ValueError(f"{self._path}: the key of an item is empty")
        try:
            with self._guard, self._locked():
                self._catch_up()
                self._append(key, value)
            if self._unsynced >= SYNC_LINES or time.monotonic() - self._synced >= SYNC_S:
                self.sync()
        except OSError as error:
            raise EnvironmentFault(f"{self._path} can't be written: {error.strerror}.") from error

    def map(
        self,
        function: Callable[[Item], Any],
        items: Iterable[Item],
        *,
        key: Callable[[Item], str],
        workers: int = 0,
        ordered: bool = True,
        label: str = "",
        on_error: Callable[[str, Exception], None] | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Yield (key, value) of every item, working on those that are missing while it is iterated."""
        from omnitrain.runs.mapping import finished_names

        total = len(items) if isinstance(items, Sized) else None
        names = finished_names(self, function, items, key, workers, ordered, on_error, self._check)
        with self._progress(label or self.name, total) as bar:
            try:
                for name in names:
                    if name is not None:
                        yield name, self[name]
                    bar.advance()
            finally:
                names.close()
                self.sync()

    def sync(self) -> None:
        """Force what was added to disk."""
        if self._unsynced:
            os.fsync(self._file)
        self._unsynced, self._synced = 0, time.monotonic()

    def close(self) -> None:
        """Force everything to disk and close the file."""
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1

    def _opened(self) -> int:
        self._directory.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        sync_folder(self._directory)
        return file

    def _copied(self) -> int:
        """Return a nameless file with what is there: for processes that must not write."""
        with tempfile.TemporaryFile() as copy:
            if self._path.exists():
                with open(self._path, "rb") as file:
                    shutil.copyfileobj(file, copy)
                copy.flush()
            return os.dup(copy.fileno())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _settle(self, identity: str) -> None:
        """Write the first line of a new ledger, and clear one that was made with something else."""
        if self._head is not None and self._head.get("ledger") != FORMAT:
            raise EnvironmentFault(f"{self._path} has another format; this version of omnitrain reads ledgers of {FORMAT}.")
        if self._head is not None and self._head["identity"] != identity:
            self._warn(f"the finished items of {self.name!r} were made with other settings and are cleared")
            os.ftruncate(self._file, 0)
            remove(self._directory / "files")
            self._forget()
        if not self._end:
            self._append("", encode({"ledger": FORMAT, "identity": identity}))
            self.sync()

    def _forget(self) -> None:
        self._index.clear()
        self._head, self._end, self._lines = None, 0, 0

    def _append(self, key: str, value: str) -> None:
        """Write one line behind the others; what a full disk took of it only in part is cut off again."""
        line = _line(key, value)
        if os.pwrite(self._file, line + b"\n", self._end) != len(line) + 1:
            os.ftruncate(self._file, self._end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if key:
            self._index[key] = self._end << _LENGTH_BITS | len(line)
        self._end += len(line) + 1
        self._lines += 1
        self._unsynced += 1

    def _catch_up(self) -> None:
        """Read the lines that are new in the file: all of them at first, later those of other processes.

        A torn last line is cut off; whoever wrote it is gone, since it is read under the lock.
        """
        size = os.fstat(self._file).st_size
        if size == self._end:
            return
        if size < self._end:
            self._forget()
        with open(os.dup(self._file), "rb") as file:
            file.seek(self._end)
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, self._end)
                    self._warn(f"{self._path}: the last line is torn and was cut off; its item is done again")
                    break
                self._lines += 1
                self._read(line[:-1])
                self._end += len(line)

    def _read(self, line: bytes) -> None:
        found = _records(line)
        for place, record in found:
            text = record[_BODY:].decode("utf-8", "surrogatepass")
            key, end = _decoder.raw_decode(text, len('"key":'))
            if key:
                self._index[key] = self._end + place << _LENGTH_BITS | len(record)
            else:
                self._head, _ = _decoder.raw_decode(text, end + len(',"value":'))
        if sum(len(record) + 1 for _, record in found) != len(line) + 1:
            self._warn(f"{self._path}: line {self._lines} is damaged and was skipped; its item is done again")


class _NoBar:
    def advance(self, amount: float = 1, **values: float) -> None:
        """Show nothing."""


@contextmanager
def _show_nothing(label: str, total: float | None) -> Iterator[_NoBar]:
    yield _NoBar()


def _say_nothing(text: str) -> None:
    """Tell nobody."""


def _never_stop() -> None:
    """Go on."""
