"""Folders of slow work: built once, whole after kills at any point, shared by processes that build at the same time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omnitrain.runs.files import TEMPORARY, sync_tree

MANIFEST = "complete.json"
_HASHED_BYTES = 16 * 2**20


def build_once(folder: Path, build: Callable[[Path], Any]) -> Path:
    """Return `folder`, filled by `build(temporary folder)` unless it is already complete.

    Its file complete.json says what belongs to it. A damaged or half-written folder is built again. Of two processes at once
    the first to finish wins and the other discards its own result, so both use the same valid files. What a killed process
    of this machine left half-built beside it is removed.
    """
    if is_complete(folder):
        return folder
    host = socket.gethostname().replace("-", "_")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(folder.parent, host)
    temporary = folder.parent / f"{TEMPORARY}{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        build(temporary)
        _seal(temporary)
        _publish(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def is_complete(folder: Path) -> bool:
    """Whether the folder has its manifest and all its files are as the manifest says."""
    try:
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        return all(_describe(folder / name) == described for name, described in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


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


def _seal(folder: Path) -> None:
    """Write the manifest behind everything else, each forced to disk."""
    sync_tree(folder)
    files = {str(path.relative_to(folder)): _describe(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    (folder / MANIFEST).write_text(json.dumps({"files": files}), "utf-8")
    sync_tree(folder / MANIFEST)


def _remove_orphans(parent: Path, host: str) -> None:
    """Delete temporary folders of processes of this host that no longer run."""
    start = f"{TEMPORARY}{host}-"
    for path in parent.glob(f"{start}*"):
        number = path.name.removeprefix(start).split("-")[0]
        if not number.isdigit():
            continue
        try:
            os.kill(int(number), 0)
        except (ProcessLookupError, OverflowError):
            shutil.rmtree(path, ignore_errors=True)
        except PermissionError:
            continue


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
