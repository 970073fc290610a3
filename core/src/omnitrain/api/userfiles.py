"""Files that users bring: text in whatever encoding says itself what it is, and a guard for what libraries raise."""

from __future__ import annotations

import codecs
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omnitrain.errors import DataError, EnvironmentFault, OmnitrainError

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNMARKED = "utf-8-sig"
_PACKED = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
}
_MACHINE = (errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EIO)
SHOWN = 80


def user_path(text: str | Path) -> Path:
    """Return the path that a setting names, with ~ for the home; that of no user, as ~nobody/x, is a name like any other."""
    return Path(os.path.expanduser(text))


@contextmanager
def reading(place: Path | str, what: str, advice: str = "") -> Iterator[None]:
    """Turn whatever a library raises while it reads a user's file, or one record of it, into a DataError that names it.

    place: the file, with line or record where there is one: "a.csv:7". what: what was expected: "an image".
    Errors of omnitrain pass as they are; what the machine causes (permissions, a full disk) is an EnvironmentFault.
    """
    try:
        yield
    except OmnitrainError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{place} is not there; expected {what}.") from error
    except OSError as error:
        if error.errno in _MACHINE or isinstance(error, PermissionError):
            raise EnvironmentFault(f"{place} can't be read: {error.strerror}.") from error
        raise DataError(_sentence(place, what, error.strerror or str(error), advice)) from error
    except Exception as error:  # a damaged file makes libraries raise anything
        raise DataError(_sentence(place, what, f"{type(error).__name__}: {error}", advice)) from error


def _sentence(place: Path | str, what: str, reason: str, advice: str) -> str:
    return f"{place} can't be read as {what}: {shown(reason, 2 * SHOWN).rstrip('.')}.{' ' if advice else ''}{advice}"


def shown(text: str, most: int = SHOWN) -> str:
    """Return text of a file on one line, shortened, without characters that a terminal would obey."""
    line = "".join(c if c.isprintable() else " " for c in text[: 2 * most])
    line = " ".join(line.split())
    return line if len(line) <= most and len(text) <= 2 * most else f"{line[:most]}..."


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line without its end) of a text file: UTF-8 with or without a mark, UTF-16 and UTF-32 with one.

    Raises DataError that names the line which is not of that encoding, or what the file is instead of text.
    """
    number = 0
    encoding = _encoding(path)
    try:
        with path.open(encoding=encoding, newline=None) as file:
            for number, line in enumerate(file, 1):
                yield number, line.rstrip("\n")
    except UnicodeError as error:
        raise DataError(_not_text(path, encoding, number)) from error
    except OSError as error:
        raise EnvironmentFault(f"{path} can't be read: {error.strerror or error}.") from error


def read_text(path: Path) -> str:
    """Return a text file whole, its lines ended by "\\n"; see `text_lines`."""
    return "".join(f"{line}\n" for _, line in text_lines(path))


def _encoding(path: Path) -> str:
    with reading(path, "a text file"):
        if path.is_dir():
            raise DataError(f"{path} is a folder; expected a text file.")
        with path.open("rb") as file:
            head = file.read(8)
    packed = next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)
    if packed is not None:
        raise DataError(f"{path} is {packed}; expected text: unpack it.")
    return next((name for mark, name in _MARKS if head.startswith(mark)), _UNMARKED)


def _not_text(path: Path, encoding: str, before: int) -> str:
    """Say which line can't be decoded; where the encoding is UTF-8 the byte too."""
    behind = f"{path}: the text can't be decoded as {encoding} behind line {before}; save the file as UTF-8."
    if encoding != _UNMARKED:
        return behind
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = raw[error.start]
                return (
                    f"{path}:{number}: the byte 0x{byte:02x} is not UTF-8; save the file as UTF-8 "
                    "(from Latin-1: iconv -f latin1 -t utf-8)."
                )
    return behind
