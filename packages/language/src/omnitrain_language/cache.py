"""Folders that are built once, survive kills at any point, and are shared by processes that build at the same time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

_MANIFEST = "complete.json"
_HASHED_BYTES = 16 * 2**20


def _describe(path: Path) -> list[int | str]:
    """Size, and a hash of the whole file or, for large ones, of its first and last megabytes."""
    size = path.stat().st_size
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        digest.update(file.read(_HASHED_BYTES))
        if size > _HASHED_BYTES:
            file.seek(max(_HASHED_BYTES, size - _HASHED_BYTES))
            digest.update(file.read())
    return [size, digest.hexdigest()]


def is_complete(folder: Path) -> bool:
    """True when the folder has its manifest and all its files are as the manifest says."""
    try:
        files = json.loads((folder / _MANIFEST).read_text("utf-8"))["files"]
        return all(_describe(folder / name) == described for name, described in files.items())
    except (OSError, ValueError, KeyError):
        return False


def _seal(folder: Path) -> None:
    files = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        files[path.name] = _describe(path)
    manifest = folder / _MANIFEST
    with manifest.open("w", encoding="utf-8") as out:
        json.dump({"files": files}, out)
        out.flush()
        os.fsync(out.fileno())


def _remove_orphans(parent: Path, host: str) -> None:
    """Delete temporary folders of processes of this host that no longer run."""
    for path in parent.glob(f".tmp-{host}-*"):
        pid = int(path.name.removeprefix(f".tmp-{host}-").split("-")[0])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except PermissionError:
            continue


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return `folder`, filled by `build(temporary folder)` unless it is already complete.

    A damaged or half-written folder is built again. Of two processes at once the first to finish wins and the other
    discards its own result, so both use the same valid files.
    """
    if is_complete(folder):
        return folder
    host = socket.gethostname().replace("-", "_")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(folder.parent, host)
    temporary = folder.parent / f".tmp-{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        build(temporary)
        _seal(temporary)
        _publish(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _publish(temporary: Path, folder: Path) -> None:
    while not is_complete(folder):
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
            if is_complete(folder):
                return
            # A damaged folder stands in the way: take it away under a name that no other process touches.
            damaged = temporary.with_name(temporary.name + "-damaged")
            try:
                folder.rename(damaged)
            except FileNotFoundError:
                continue
            shutil.rmtree(damaged)
        else:
            return
