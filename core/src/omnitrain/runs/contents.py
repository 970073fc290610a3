"""Digests of the content of files and folders, remembered while size, times and inode of a file stay as they were."""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from omnitrain.api.digests import is_settled, read_digest, remember, state_of
from omnitrain.api.userfiles import user_path
from omnitrain.errors import EnvironmentFault
from omnitrain.runs.files import write_whole

BAR_BYTES = 64 * 2**20
MOST_SHARED = 20_000
"""Files of one input whose digests are shared in memory with other readers."""
WAIT_S = 0.2
_DIGITS = 64
_FOLDER = "digests"
_RUN = ("run.json", "recipe.lock.yaml")

_Files = Sequence[tuple[str, Path, os.stat_result]]
Progress = Callable[[str, float], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Content:
    """What was found under a path. digest: of content and, in a folder, of relative names; times and place don't count."""

    digest: str
    files: int
    bytes: int


class Contents:
    """Reads what paths name. cache: where digests of files are remembered. progress: shows, and stops, a long reading."""

    def __init__(self, cache: Path, progress: Progress | None = None) -> None:
        self._folder, self._progress = cache / _FOLDER, progress

    def of_path(self, text: str) -> Content | None:
        """Return the content of a file, a folder or all that fits a glob pattern; None where there is nothing.

        In a folder hidden files, bytecode and run directories don't count.
        """
        try:
            root = Path(text)
            root = root if root.exists() else user_path(text)
            if root.exists():
                return self._of(root, list(_files(root)))
            names = sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else []
        except (OSError, ValueError):  # a name that no file system takes
            return None
        each = [(name, self._of(Path(name), files)) for name in names if (files := _files_there(Path(name))) is not None]
        return _joined(each) if each else None

    def of_module(self, text: str) -> Content | None:
        """Return the source of what "module:attribute" imports, with that of its package; None for what is not found."""
        top = text.partition(":")[0].partition(".")[0]
        if ":" not in text or not top.isidentifier():
            return None
        spec = PathFinder.find_spec(top, sys.path)  # imports nothing
        if spec is None:
            return None
        if spec.submodule_search_locations:
            root = Path(next(iter(spec.submodule_search_locations)))
            return self._of(root, [file for file in _files(root) if file[1].suffix == ".py"])
        return self.of_path(spec.origin) if spec.origin is not None else None

    def of_all(self, texts: Sequence[str], what: str) -> Content | None:
        """Return the content of several inputs together, in their order; None where there is nothing at all."""
        read = self.of_module if what == "module" else self.of_path
        each = [(str(number), read(text)) for number, text in enumerate(texts)]
        if len(each) == 1:
            return each[0][1]
        return _joined([(name, content) for name, content in each if content is not None]) if any(c for _, c in each) else None

    def _of(self, root: Path, files: _Files) -> Content:
        memo = self._folder / f"{hashlib.sha256(os.fsencode(os.path.abspath(root))).hexdigest()[:32]}.json"
        found, unread = _known(files, memo)
        total = sum(info.st_size for *_, info in unread)
        if total > BAR_BYTES and self._progress is not None:
            with self._progress(f"reading {root}", total) as bar, _alone(self._folder, memo, lambda: bar.advance(0)):
                found, unread = _known(files, memo)  # another process of the run may have read them meanwhile
                _read(unread, found, memo, bar.advance)
        elif unread:
            _read(unread, found, memo, lambda amount: None)
        size = sum(info.st_size for *_, info in files)
        if len(files) == 1 and files[0][1] == root:
            return Content(found[files[0][0]][-1][:32], 1, size)
        lines = "".join(f"{found[name][-1]} {name}\n" for name, *_ in files)
        return Content(hashlib.sha256(os.fsencode(lines)).hexdigest()[:32], len(files), size)


@contextmanager
def _alone(folder: Path, memo: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Let one process at a time read what a memo is about. wait: called while another one does; may raise."""
    with ExitStack() as opened:
        with suppress(OSError):  # a cache that can't be written, or locks that its file system lacks, cost time only
            folder.mkdir(exist_ok=True)
            lock = opened.enter_context(open(memo.with_suffix(".lock"), "a"))
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    wait()
                    time.sleep(WAIT_S)
        yield


def _known(files: _Files, memo: Path) -> tuple[dict[str, list[Any]], _Files]:
    """Return what is remembered of files, and those that have to be read."""
    known = _remembered(memo)
    found, unread = {}, []
    for name, path, info in files:
        seen = known.get(name)
        if seen is not None and seen[:-1] == _times(info):
            found[name] = seen
            if len(files) <= MOST_SHARED:
                remember(os.path.abspath(path), state_of(info), seen[-1])
        else:
            unread.append((name, path, info))
    return found, unread


def _read(unread: _Files, found: dict[str, list[Any]], memo: Path, advance: Callable[[int], None]) -> None:
    """Add the digests of files to what was found and remember all of it, also when `advance` ends the reading."""
    fresh = set()
    try:
        for name, path, info in unread:
            found[name] = [*_times(info), _digest(path, info, advance)]
            if len(found[name][-1]) != _DIGITS or not is_settled(state_of(info)):
                fresh.add(name)
    finally:
        keep = {name: seen for name, seen in found.items() if name not in fresh}
        with suppress(EnvironmentFault, OSError):  # a cache that can't be written costs time only
            memo.parent.mkdir(exist_ok=True)
            write_whole(memo, json.dumps(keep, separators=(",", ":")))


def _joined(each: Sequence[tuple[str, Content]]) -> Content:
    lines = "".join(f"{content.digest} {name}\n" for name, content in each)
    digest = hashlib.sha256(os.fsencode(lines)).hexdigest()[:32]
    return Content(digest, sum(content.files for _, content in each), sum(content.bytes for _, content in each))


def _times(info: os.stat_result) -> list[int]:
    """Return the state of a file but for its device, whose number may be another one after the next mount."""
    return list(state_of(info)[:-1])


def _remembered(memo: Path) -> Mapping[str, list[Any]]:
    try:
        known = json.loads(memo.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    whole = isinstance(known, dict) and all(isinstance(seen, list) and len(seen) == 5 for seen in known.values())
    return known if whole else {}


def _digest(path: Path, info: os.stat_result, advance: Callable[[int], None]) -> str:
    try:
        digits, after = read_digest(path, advance)
    except OSError as error:  # whoever needs the file says so; if it becomes readable that is a change
        return f"unreadable, {error.strerror}"
    if after == state_of(info):
        remember(os.path.abspath(path), after, digits)
    return digits


def _files(root: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Yield (relative name, path, status) of a file, or of all files in a folder in the order of their names."""
    if root.is_dir():
        found = sorted(_walk(str(root), "", set()))
        yield from ((name, Path(path), info) for name, path, info in found)
    else:
        info = root.stat()
        if stat.S_ISREG(info.st_mode):
            yield root.name, root, info


def _files_there(root: Path) -> _Files | None:
    """Return what `_files` yields, or None for a link to nothing, which counts as little as it does inside a folder."""
    try:
        return list(_files(root))
    except OSError:
        return None


def _walk(folder: str, prefix: str, above: set[tuple[int, int]]) -> Iterator[tuple[str, str, os.stat_result]]:
    try:
        info = os.stat(folder)
        entries = list(os.scandir(folder))
    except OSError:  # a folder that can't be listed, as lost+found
        return
    here = (info.st_dev, info.st_ino)
    if here in above or (prefix and {entry.name for entry in entries}.issuperset(_RUN)):
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        try:
            info = entry.stat()
        except OSError:  # a link to nothing
            continue
        if stat.S_ISDIR(info.st_mode):
            yield from _walk(entry.path, f"{prefix}{entry.name}/", above | {here})
        elif stat.S_ISREG(info.st_mode):
            yield f"{prefix}{entry.name}", entry.path, info
