"""Digests of files by their whole content, read once in a process and again only when a file changed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

# A change within the tick of a file system's clock leaves its times as they were, so a younger file is read each time.
_SETTLED_NS = 2_000_000_000
_PIECE = 2**20

_State = tuple[int, int, int, int, int]
_known: dict[str, tuple[_State, str]] = {}


def file_digest(path: Path | str) -> str:
    """Return the SHA-256 of a file's content as hexadecimal digits.

    It is remembered by path, size, times and inode, so that asking again is cheap; in a process of its own it is read anew.
    Raises OSError when the file can't be read.
    """
    place = os.path.abspath(path)
    state = state_of(os.stat(place))
    known = _known.get(place)
    if known is not None and known[0] == state:
        return known[1]
    digits, after = read_digest(place)
    if after == state:
        remember(place, state, digits)
    return digits


def read_digest(path: Path | str, advance: Callable[[int], None] | None = None) -> tuple[str, _State]:
    """Read a file whole; return its digest and its state at the end. advance: called with the bytes of each piece."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            if advance is not None:
                advance(len(piece))
        return digest.hexdigest(), state_of(os.fstat(file.fileno()))


def is_settled(state: _State) -> bool:
    """Whether a file is old enough for its state to tell whether it changed."""
    return time.time_ns() - max(state[1], state[2]) > _SETTLED_NS


def remember(place: str, state: _State, digits: str) -> None:
    """Keep a digest that is known from elsewhere. place: the absolute path."""
    if is_settled(state):
        _known[place] = (state, digits)


def state_of(found: os.stat_result) -> _State:
    """Return what changes with a file: size, times, inode, device."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev
