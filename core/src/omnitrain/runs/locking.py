"""One process at a time on a run directory."""

from __future__ import annotations

import errno
import fcntl
import os
import weakref
from pathlib import Path
from types import TracebackType
from typing import TextIO

from omnitrain.errors import EnvironmentFault

_held: weakref.WeakSet[RunLock] = weakref.WeakSet()


def _close_in_child() -> None:
    """Close what a fork inherited, since data workers that outlive a killed run would keep its lock."""
    for lock in list(_held):
        lock.close()


os.register_at_fork(after_in_child=_close_in_child)


class RunLock:
    """An advisory lock that the operating system drops when its process dies, so a stale one can't remain."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / ".lock"
        self._file: TextIO | None = None

    def __enter__(self) -> RunLock:
        try:
            file = open(self._path, "a+", encoding="utf-8", errors="replace")
        except OSError as error:
            raise EnvironmentFault(f"{self._path} can't be opened: {error.strerror}.") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                file.close()
                raise EnvironmentFault(f"{self._path} can't be locked: {error.strerror}; choose another --out.") from error
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise EnvironmentFault(
                f"{self._path.parent} is in use by process {owner}; wait for it or choose another --out."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        self._file = file
        _held.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the lock in this process."""
        _held.discard(self)
        if self._file is not None:
            self._file.close()
            self._file = None
