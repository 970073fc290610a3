"""Lines of text as fields. An empty field stays one, so that a missing value never shifts those behind it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from omnitrain.api import text_lines
from omnitrain.errors import DataError

COMMENTS = ("#", "%")
_WHOLE = re.compile(r"[+-]?[0-9]{1,400}(\.0*)?")
_BEHIND_COMMA = re.compile(r"[,;] *\t")
_DICTIONARY = re.compile(r"^(.*?)[\s,;]*(\{.*\})$")
# As numpy, pandas and databases write a value that is missing.
MISSING = ("", "nan", "NaN", "None", "<NA>", "null", "NULL")
# Sums and products of numbers up to here fit 64 bits; a class or a tag has no reason to be larger.
LARGEST = 2**31


def rows(path: Path, skipped: list[int] | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of a text file; empty lines and comments are left out.

    skipped: takes the numbers of comments behind the first row, which could be rows in files whose names begin with "#".
    """
    begun = False
    for number, line in text_lines(path):
        text = line.rstrip().lstrip(" ")
        if not text.strip():
            continue
        if text.startswith(COMMENTS):
            if begun and skipped is not None:
                skipped.append(number)
            continue
        begun = True
        yield number, split(text)


def split(text: str) -> list[str]:
    """Return the fields of a line that tabs, semicolons, commas or else blanks separate, without quotes and outer blanks.

    networkx's dictionary of an edge, at the end, is one field.
    """
    found = _DICTIONARY.match(text)
    head, tail = (found[1], [found[2]]) if found else (text, [])
    return [*_separated(head), *tail]


def separator(text: str) -> str | None:
    """Return what separates the fields of a line; None for blanks."""
    if "\t" in text and not _BEHIND_COMMA.search(text):
        return "\t"
    return ";" if ";" in text else "," if "," in text else None


def _separated(text: str) -> list[str]:
    between = separator(text)
    if '"' in text:
        try:
            parts = next(csv.reader([text], delimiter=between or " ", strict=True, skipinitialspace=True))
        except csv.Error:
            return [text]
    else:
        parts = text.split() if between is None else text.split(between)
    return [part.strip() for part in parts]


def whole(text: str) -> int | None:
    """Return a whole number, also one that pandas wrote as "3.0"; None for any other text."""
    if text.isdecimal() and text.isascii() and len(text) < 19:
        return int(text)
    return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else None


def measured(text: str) -> bool:
    """Whether a text is a number of any kind."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def bounded(text: str) -> int:
    """Return a whole number that fits arrays. Raises ValueError for another text."""
    value = whole(text)
    if value is None or abs(value) >= LARGEST:
        raise ValueError(f"{text[:40]!r} is no whole number below {LARGEST}")
    return value


def column(path: Path) -> list[tuple[int, list[str]]]:
    """Return (line number, fields) of a file in which every line has as many fields.

    Raises DataError that names the line which differs.
    """
    found = list(rows(path))
    for number, fields in found:
        if len(fields) != len(found[0][1]):
            raise DataError(f"{path}:{number}: {len(fields)} columns; expected {len(found[0][1])} as in line {found[0][0]}.")
    return found
