"""Writing files so that they are whole or absent."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omnitrain.api.userfiles import user_path
from omnitrain.errors import EnvironmentFault

TEMPORARY = ".tmp-"
REMOVED = "nothing more can be kept there, run the same command again to begin anew"
DISK_FAULTS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE}
)


@contextmanager
def explained_disk_faults(folder: Path, advice: str = "", sign: str = "run.json") -> Iterator[None]:
    """Turn what a full or failing disk raises anywhere in a block into one error.

    folder: a run directory, or another one with its own `advice`, the end of the sentence on what to do. sign: the file
    without which it was removed, whatever parts of it were made again since.
    Raises EnvironmentFault that names the file where it is known, else the folder.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not (folder / sign).exists():
            raise EnvironmentFault(f"{folder} was removed while it was written; {REMOVED}.") from error
        if error.errno not in DISK_FAULTS:
            raise
        place = error.filename if isinstance(error.filename, str) else folder
        advice = advice or f"go on with 'omnitrain run {folder}'"
        raise EnvironmentFault(
            f"{place} can't be written: {error.strerror}. What was finished is whole; when that is mended {advice}."
        ) from error


def encode(value: Any) -> str:
    """Return a value as JSON in one line.

    Raises TypeError or ValueError for what is not plain JSON.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to disk, where the file system knows how."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems refuse fsync on folders; the rename is still atomic
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Force a file, or a folder with all that is in it, to disk."""
    files = [p for p in path.rglob("*") if not p.is_symlink()] if path.is_dir() else [path]
    for file in files:
        if file.is_dir():
            sync_folder(file)
            continue
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
    if path.is_dir():
        sync_folder(path)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name in the same folder, force it to disk and rename it: it is there whole or not at all.

    Raises EnvironmentFault when the disk is full or the folder can't be written; nothing half-written is left.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise EnvironmentFault(f"{path} can't be written: {error.strerror}.") from error


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON, whole or not at all; see `write_whole`."""
    write_whole(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def apply_umask(path: Path) -> None:
    """Give a file, or every file below a folder, the permissions that the user's umask gives new files.

    Some libraries write through private temporary files, which nobody else could read.
    """
    mask = os.umask(0o077)
    os.umask(mask)
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if file.is_file() and not file.is_symlink():
            mode = stat.S_IMODE(file.stat().st_mode)
            file.chmod(mode | (0o666 & ~mask))


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; when the block succeeds it replaces the target (file or folder)."""
    temporary = target.with_name(f"{TEMPORARY}{target.name}-{os.getpid()}")
    remove(temporary)
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(f"nothing was written to the path given for {target.name!r}")
        apply_umask(temporary)
        sync_tree(temporary)
        if target.is_dir() and not target.is_symlink():
            old = target.with_name(f"{TEMPORARY}old-{target.name}-{os.getpid()}")
            os.replace(target, old)
            os.replace(temporary, target)
            remove(old)
        else:
            os.replace(temporary, target)
        sync_folder(target.parent)
    except BaseException:
        remove(temporary)
        raise


def remove(path: Path) -> None:
    """Delete a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sweep(root: Path) -> None:
    """Remove every temporary file and folder below `root`."""
    for path in list(root.rglob(f"{TEMPORARY}*")):
        remove(path)


def inside(root: Path, relative: str) -> Path:
    """Return root/relative.

    Raises EnvironmentFault when that leads out of the root (.., absolute, links).
    """
    target = (root / relative).resolve()
    if not target.is_relative_to(root.resolve()):
        raise EnvironmentFault(f"{relative!r} leads out of {root}; the run directory was changed by something else.")
    return target


def absolute_paths(settings: Any) -> Any:
    """Return settings with every relative `path` or `..._path` of something that exists made absolute, at any depth.

    Settings that are stored beside a product are read from other working directories too.
    """
    if isinstance(settings, Mapping):
        return {key: _absolute(value) if _names_path(key) else absolute_paths(value) for key, value in settings.items()}
    if isinstance(settings, list):
        return [absolute_paths(value) for value in settings]
    return settings


def _names_path(key: Any) -> bool:
    return isinstance(key, str) and (key == "path" or key.endswith("_path"))


def _absolute(value: Any) -> Any:
    if not isinstance(value, str):
        return absolute_paths(value)
    place = user_path(value)
    return str(place.absolute()) if value and (place.is_file() or place.is_dir()) else value
