"""Folders of slow work: built once, whole or absent, shared by processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

_DONE = "complete.json"
_EDGE_BYTES = 1 << 16


def digest(value: Any) -> str:
    """Return 32 hexadecimal digits of a JSON value; equal values give equal digits in every process."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """Return digits of a file's size and of its first and last 64 KiB: enough to notice another recording, and fast."""
    found = hashlib.blake2b(digest_size=16)
    size = path.stat().st_size
    found.update(str(size).encode())
    with open(path, "rb") as file:
        found.update(file.read(_EDGE_BYTES))
        if size > _EDGE_BYTES:
            file.seek(max(_EDGE_BYTES, size - _EDGE_BYTES))
            found.update(file.read(_EDGE_BYTES))
    return found.hexdigest()


def _whole(folder: Path) -> bool:
    """Whether every file that the manifest names is there with its size."""
    try:
        sizes = json.loads((folder / _DONE).read_text("utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return `folder`, filled by `build(temporary folder)` unless it is there already.

    A folder whose files are missing or cut short is built again. Of two processes at the same time the first to finish
    wins; both see the same files.
    """
    if _whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    try:
        build(temporary)
        sizes = {str(p.relative_to(temporary)): p.stat().st_size for p in sorted(temporary.rglob("*")) if p.is_file()}
        (temporary / _DONE).write_text(json.dumps(sizes), encoding="utf-8")
        if folder.exists() and not _whole(folder):
            folder.rename(temporary.with_name(f"{temporary.name}-damaged"))
            shutil.rmtree(temporary.with_name(f"{temporary.name}-damaged"))
        try:
            temporary.rename(folder)
        except OSError:
            if not _whole(folder):
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
