"""The files of a path that a user names: which are read, which are left out, and how that is told."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omnitrain.api import Context, user_path
from omnitrain.errors import DataError, EnvironmentFault

_CARDS = ("readme", "license", "licence", "copying", "notice", "changelog", "contributing", "authors", "citation")
_SHOWN = 3


@dataclass
class Listing:
    """Files of a path, sorted. Below a folder: others have a suffix that is not read, hidden names begin with a dot.

    cards: files about the folder that are read like others; links: linked folders, which are followed; broken: links that
    lead nowhere.
    """

    files: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    cards: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    broken: list[Path] = field(default_factory=list)

    def notes(self) -> list[str]:
        """Return in sentences what somebody may not expect; nothing where all files are read."""
        found = []
        if self.others:
            names = f"{_count(self.others)} of other suffixes not read ({_names(self.others)})"
            found.append(names + _advice(self.others))
        if self.hidden:
            found.append(f"hidden ones left out ({_names(self.hidden)})")
        if self.broken:
            found.append(f"{_count(self.broken, 'link')} to nothing left out ({_names(self.broken)})")
        if self.links:
            found.append(f"linked folders followed ({_names(self.links)})")
        if self.cards:
            found.append(f"read as documents like the others: {_names(self.cards)}")
        return found


def _count(paths: Sequence[Path], what: str = "file") -> str:
    return f"{len(paths)} {what}{'s' if len(paths) > 1 else ''}"


def _names(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(path.name for path in paths[:_SHOWN]) + more


def _advice(paths: Sequence[Path]) -> str:
    suffixes = {path.suffix.lower() for path in paths}
    hints = [
        "unpack packed ones first" if suffixes & {".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz"} else "",
        "write .json as one record a line, .jsonl" if ".json" in suffixes else "",
    ]
    told = "; ".join(filter(None, hints))
    return f": {told}" if told else ""


def named_by(path: str, suffixes: Sequence[str]) -> Listing:
    """Return what a path names, be it nothing: one file, the files of these suffixes below a folder, those of a pattern."""
    place = user_path(path)
    if place.is_dir():
        return _below(place, suffixes)
    return Listing([place] if place.is_file() else _globbed(place))


def list_files(path: str, suffixes: Sequence[str]) -> Listing:
    """Return the files that a path names: one file, all files below a folder, or those of a glob pattern.

    Linked folders are followed, each folder once. Names that begin with a dot are left out where the path does not name them.
    Raises DataError where there are none, or where a file that is named has a suffix that can't be read.
    """
    found = named_by(path, suffixes)
    if not found.files:
        kind = "no file with one of these suffixes" if user_path(path).is_dir() else "no such file, folder or pattern"
        beside = f" (there are {_names(sorted(found.others))}{_advice(found.others)})" if found.others else ""
        raise DataError(f"{path}: {kind}; expected {', '.join(suffixes)}{beside}")
    wrong = [file for file in found.files if file.suffix.lower() not in suffixes]
    if wrong:
        raise DataError(
            f"{wrong[0]}: can't read {wrong[0].suffix or 'a file without suffix'}; "
            f"expected {', '.join(suffixes)}{_advice(wrong)}"
        )
    found.files.sort(key=lambda file: file.as_posix())
    return found


def find_files(path: str, suffixes: Sequence[str]) -> list[Path]:
    """Return the files alone; see `list_files`. What prepares data from them tells what was left out by `tell_files`."""
    return list_files(path, suffixes).files


def content_of(path: str, suffixes: Sequence[str]) -> Iterator[bytes]:
    """Yield what tells the files of a path from others: name, size and a hash of the content of each."""
    for file in find_files(path, suffixes):
        with file.open("rb") as opened:
            yield f"{file.name} {file.stat().st_size}\n".encode() + hashlib.file_digest(opened, "blake2b").digest()


def _below(folder: Path, suffixes: Sequence[str]) -> Listing:
    found, seen, waiting = Listing(), set[str](), deque([folder])
    while waiting:
        links: list[Path] = []
        for root, folders, names in os.walk(waiting.popleft(), onerror=_fail):
            if os.path.realpath(root) in seen:
                folders.clear()
                continue
            seen.add(os.path.realpath(root))
            base = Path(root)
            found.hidden += [base / name for name in sorted(folders) if name.startswith(".")]
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            links += [base / name for name in folders if (base / name).is_symlink()]
            _sort_in(found, [base / name for name in sorted(names)], suffixes)
        # Behind the folders themselves, so that a file with two names has the one without a link.
        fresh = [link for link in links if os.path.realpath(link) not in seen]
        found.links += fresh
        waiting += fresh
    return found


def _sort_in(found: Listing, files: Sequence[Path], suffixes: Sequence[str]) -> None:
    for file in files:
        readable = file.suffix.lower() in suffixes
        if file.name.startswith("."):
            found.hidden += [file] if readable else []
        elif not file.exists():
            found.broken.append(file)
        elif not file.is_file() or not readable:
            found.others.append(file)
        else:
            found.files.append(file)
            found.cards += [file] if file.stem.lower() in _CARDS else []


def _globbed(place: Path) -> list[Path]:
    absolute = place.absolute()
    root = Path(absolute.anchor)
    named = absolute.relative_to(root)
    try:
        files = [found for found in root.glob(str(named)) if found.is_file()]
    except ValueError as error:
        raise DataError(f"{place}: no pattern of files ({error}); write ** between two / and * within a name") from error
    if any(part.startswith(".") and "*" in part for part in named.parts):
        return files
    return [file for file in files if not any(p.startswith(".") and p not in named.parts for p in file.parts)]


def _fail(error: OSError) -> None:
    raise EnvironmentFault(
        f"{error.filename}: this folder can't be listed ({error.strerror}); give yourself the right to read it"
    )


def tell_files(path: str, suffixes: Sequence[str], context: Context) -> None:
    """Tell what of a path is read where somebody may expect something else: in the dry run, the events and the report.

    Raises as `list_files` does.
    """
    found = list_files(path, suffixes)
    notes = found.notes()
    if notes:
        context.event("files", path=path, read=len(found.files), note="; ".join(notes))
