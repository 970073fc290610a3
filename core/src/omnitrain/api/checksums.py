"""Products that say when a file of theirs is not as it was written: checksums in a record, or in the folder itself."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from omnitrain.api.digests import file_digest
from omnitrain.api.stored import read_text
from omnitrain.errors import Damaged

# In the format of `sha256sum`, which checks such a folder too: sha256sum -c checksums.sha256
CHECKSUMS = "checksums.sha256"
WHOLE = "."  # the name of a product that is a single file
_ENTRY = re.compile(r"([0-9a-f]{64}) [ *]([^\x00\n]+)")

Files = Mapping[str, Sequence[int | str]]


def files_of(product: Path) -> dict[str, list[int | str]]:
    """Return {name: [bytes, SHA-256]} of every file of a folder, named from there, or of a single file as "."."""
    if not product.is_dir():
        return {WHOLE: _described(product)}
    found = {path.relative_to(product).as_posix(): path for path in sorted(product.rglob("*")) if path.is_file()}
    return {name: _described(path) for name, path in found.items()}


def check_files(product: Path, files: Files, advice: str) -> list[str]:
    """Compare a product with the files that it had, and return the names of those that came later, hidden ones aside.

    advice: what to do about damage, the end of the sentence.
    Raises Damaged that names the first file which is missing or has other content.
    """
    for name, (size, digits) in files.items():
        path = product if name == WHOLE else product / name
        try:
            if path.stat().st_size != size or file_digest(path) != digits:
                raise Damaged(f"{path} is damaged: its content is not what was written, by its checksum; {advice}.")
        except (OSError, ValueError) as error:  # the latter for a name that no file has
            reason = getattr(error, "strerror", None) or error
            raise Damaged(f"{path} can't be read ({reason}) although it was written; {advice}.") from error
    if not product.is_dir() or not files:
        return []
    paths = (path for path in product.rglob("*") if path.is_file())
    names = {path.relative_to(product).as_posix() for path in paths if not path.name.startswith(".")}
    return sorted(names - files.keys())


def sums_text(folder: Path) -> str:
    """Return the content of a folder's file of checksums."""
    return "".join(f"{digits}  {name}\n" for name, (_, digits) in files_of(folder).items() if name != CHECKSUMS)


def check_folder(folder: Path) -> list[str]:
    """Compare a folder with its file of checksums, if it has one; see `check_files`."""
    place = folder / CHECKSUMS
    if not place.exists():
        return []
    advice = f"copy it again from where it was saved, or remove {place} if the change is meant"
    files: dict[str, list[int | str]] = {}
    *lines, rest = read_text(place).split("\n")
    if rest or not lines:
        raise Damaged(f"{place}:{len(lines) + 1}: is damaged: it ends inside a line; {advice}.")
    for number, line in enumerate(lines, 1):
        entry = _ENTRY.fullmatch(line)
        if entry is None or not (folder / entry[2]).resolve().is_relative_to(folder.resolve()):
            raise Damaged(f"{place}:{number}: is damaged: it holds no checksum of a file; {advice}.")
        path = folder / entry[2]
        files[entry[2]] = [path.stat().st_size if os.path.isfile(path) else 0, entry[1]]
    return [name for name in check_files(folder, files, advice) if name != CHECKSUMS]


def _described(path: Path) -> list[int | str]:
    return [path.stat().st_size, file_digest(path)]
