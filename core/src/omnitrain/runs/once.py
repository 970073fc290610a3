"""Folders of slow work: built once, whole after kills at any point, shared by processes that build at the same time."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omnitrain.api.checksums import check_files, files_of
from omnitrain.api.shapes import TEXT
from omnitrain.api.stored import FILES, read_as
from omnitrain.errors import Damaged
from omnitrain.runs.files import TEMPORARY, explained_disk_faults, remove, sync_folder, sync_tree
from omnitrain.runs.notices import tell
from omnitrain.runs.warned import warn_again, warnings_to

CACHE_ADVICE = "or the cache is elsewhere (OMNITRAIN_CACHE), run the same command again"
MANIFEST = "complete.json"
# Of a temporary folder: by machine and process, or by the process alone where there is but one machine.
_OWNER = r"{temporary}(?:{host}-(\d+)-.*|(\d+)-[0-9a-f]+)"


def build_once(folder: Path, build: Callable[[Path], Any]) -> Path:
    """Return `folder`, filled by `build(temporary folder)` unless it is already complete.

    Its file complete.json says what belongs to it, and what was warned of when it was built, which is said again when it is
    found done. A damaged folder is built again, which is told; a half-written one can't be.
    Of two processes at once the first to finish wins and the other discards its own result, so both use the same valid files.
    What a killed process of this machine left half-built beside it is removed.
    Raises EnvironmentFault that names the cache when its disk is full or fails.
    """
    damage = _damage(folder)
    if damage is None:
        warn_again(_manifest(folder).get("warnings", []))
        return folder
    if damage:
        tell(f"{damage}; {folder} is built again")
    with explained_disk_faults(folder.parent, CACHE_ADVICE, sign=""):
        _build(folder, build)
    return folder


def is_complete(folder: Path) -> bool:
    """Whether the folder has its manifest and all its files are as the manifest says."""
    return _damage(folder) is None


def _damage(folder: Path) -> str | None:
    """Return None for a folder that is complete, "" for one that is not there, else what is wrong with it.

    Files are compared by their whole content, each once a process unless it changes.
    """
    if not folder.is_dir():
        return ""
    try:
        check_files(folder, _manifest(folder)["files"], "")
    except FileNotFoundError:
        return f"{folder / MANIFEST} is missing"
    except Damaged as damage:
        return re.sub(r"; *(?=\.|\()|\.$", "", str(damage)).rstrip(" ;.")
    return None


def _manifest(folder: Path) -> dict[str, Any]:
    return read_as(folder / MANIFEST, {"files": FILES, "warnings?": [TEXT]}, "")


def _build(folder: Path, build: Callable[[Path], Any]) -> None:
    host = socket.gethostname().replace("-", "_")
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(folder.parent, host)
    temporary = folder.parent / f"{TEMPORARY}{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary.mkdir()
    warned: list[str] = []
    try:
        with warnings_to(warned.append):
            build(temporary)
        (temporary / MANIFEST).write_text(json.dumps({"files": files_of(temporary), "warnings": warned}), "utf-8")
        sync_tree(temporary)
        _publish(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_orphans(parent: Path, host: str) -> None:
    """Delete temporary folders of processes of this host that no longer run."""
    owner = re.compile(_OWNER.format(temporary=re.escape(TEMPORARY), host=re.escape(host)))
    for path in parent.glob(f"{TEMPORARY}*"):
        found = owner.fullmatch(path.name)
        if found is None:
            continue
        try:
            os.kill(int(found[1] or found[2]), 0)
        except (ProcessLookupError, OverflowError):
            shutil.rmtree(path, ignore_errors=True)
        except PermissionError:
            continue


def _publish(temporary: Path, folder: Path) -> None:
    """Give a finished folder its name, unless another process was first; one process of the machine at a time."""
    with _held(folder.parent):
        if is_complete(folder):
            return
        if folder.exists():
            # A damaged folder stands in the way: take it away under a name that no other process touches.
            damaged = temporary.with_name(temporary.name + "-damaged")
            folder.rename(damaged)
            remove(damaged)
        temporary.rename(folder)
        sync_folder(folder.parent)


@contextmanager
def _held(parent: Path) -> Iterator[None]:
    """Hold a folder for this process; where the file system knows no locks, renaming alone keeps results whole."""
    descriptor = os.open(parent, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
