"""Digests of files by their whole content, read once in a process and again only when a file changed."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

# A change within the tick of a file system's clock leaves its times as they were, so a younger file is read each time.
_SETTLED_NS = 2_000_000_000

_State = tuple[int, int, int, int, int]
_known: dict[str, tuple[_State, str]] = {}


def file_digest(path: Path | str) -> str:
    """Return the SHA-256 of a file's content as hexadecimal digits.

    It is remembered by path, size, times and inode, so that asking again is cheap; in a process of its own it is read anew.
    Raises OSError when the file can't be read.
    """
    place = os.path.abspath(path)
    state = _state(os.stat(place))
    known = _known.get(place)
    if known is not None and known[0] == state:
        return known[1]
    with open(place, "rb") as file:
        digits = hashlib.file_digest(file, "sha256").hexdigest()
        after = _state(os.fstat(file.fileno()))
    if after == state and time.time_ns() - max(state[1], state[2]) > _SETTLED_NS:
        _known[place] = (state, digits)
    return digits


def _state(found: os.stat_result) -> _State:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev
