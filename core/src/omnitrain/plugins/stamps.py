"""What a remembered description rests on: files that were read and folders that were listed for it, with their times."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

_IMPORT_SYSTEM = "<frozen importlib"
_MOST_FILES = 500
_STANDARD = os.path.dirname(os.__file__) + os.sep
_INSTALLED = ("site-packages", "dist-packages")

Stamps = dict[str, list[int] | None]


def stamps(paths: Iterable[str]) -> Stamps:
    """Return time and size of each file or folder, None where there is none."""
    return {path: stamp(path) for path in sorted(set(paths))}


def stamp(path: str) -> list[int] | None:
    """Return time and size of a file or folder, or None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return [found.st_mtime_ns, found.st_size]


def working_folder() -> str:
    """Return the current folder, or "" where that was removed: isdir(".") is true there all the same."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def search_path() -> tuple[str, ...]:
    """Return the folders of sys.path in which something installed or uninstalled shows; not the current one."""
    here = working_folder()
    return tuple(dict.fromkeys(path for path in sys.path if isinstance(path, str) and path and path != here))


def location(module: str) -> str:
    """Return where the top-level package of a module would be imported from, without importing it; "" where it is nowhere."""
    top = module.partition(".")[0]
    try:
        spec = find_spec(top) if top else None
    except Exception:  # a finder that some package has installed may raise anything
        return ""
    if spec is None:
        return ""
    return str(spec.origin) if spec.has_location else str(next(iter(spec.submodule_search_locations or ()), ""))


def sources(module: str) -> list[str]:
    """Return the files and folders of a module's top-level package, and the folders in which packages are looked for."""
    place = location(module)
    root = Path(place).parent if place.endswith(("__init__.py", "__init__.pyc")) else Path(place)
    found = [place, *search_path()]
    if place and root.is_dir():
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if name != "__pycache__"]
            found += [folder, *(os.path.join(folder, name) for name in files)]
            if len(found) > _MOST_FILES:
                break
    return [path for path in found if path]


class Watched:
    """Collects what is read and listed while a block runs. For a process that ends soon: the interpreter keeps the watch."""

    def __init__(self, module: str) -> None:
        self.paths: set[str] = {*search_path(), *filter(None, [location(module)])}
        self._on = False
        sys.addaudithook(self._see)

    def __enter__(self) -> Watched:
        self._on = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._on = False

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or event not in ("open", "os.listdir", "os.scandir"):
            return
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return  # what it writes, such as a log, is not what it rests on
        if event != "open" and sys._getframe(1).f_code.co_filename.startswith(_IMPORT_SYSTEM):
            return  # how modules are looked for: the folders of sys.path are in it already
        with contextlib.suppress(TypeError, ValueError, OSError):
            path = os.path.abspath(os.fsdecode(arguments[0] if arguments[0] is not None else "."))
            if self._counts(path):
                self.paths.add(path)

    def _counts(self, path: str) -> bool:
        if path.startswith(_STANDARD) and not any(name in path for name in _INSTALLED):
            return False
        if path.endswith(".pyc"):  # its source is what counts
            folder, name = os.path.split(path)
            path = os.path.join(os.path.dirname(folder), name.partition(".")[0] + ".py")
            self.paths.add(path)
            return False
        return os.path.isfile(path) or os.path.isdir(path)
