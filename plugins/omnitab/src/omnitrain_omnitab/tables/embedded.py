"""Tables out of what Python ships: the same on every machine with the same Python, nothing to fetch."""

from __future__ import annotations

import calendar
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from http import HTTPStatus

import numpy as np
from numpy.typing import NDArray

from omnitrain.api import numpy_generator
from omnitrain_omnitab.tables.table import Table

Rows = list[tuple[str, ...]]
Made = tuple[tuple[str, ...], Rows]
_SCRIPTS = ("GREEK", "CYRILLIC", "ARMENIAN", "HEBREW", "GEORGIAN", "CHEROKEE", "RUNIC", "GOTHIC")


def _statuses() -> Made:
    kinds = ("information", "success", "redirection", "client error", "server error")
    rows: Rows = [(s.phrase, str(s.value), kinds[s.value // 100 - 1]) for s in HTTPStatus]
    return ("Phrase", "Code", "Kind"), rows


def _entities() -> Made:
    from html.entities import name2codepoint

    rows: Rows = [(name, str(point), _length_class(name)) for name, point in sorted(name2codepoint.items())]
    return ("Entity", "Code point", "Length"), rows


def _length_class(name: str) -> str:
    return "short" if len(name) < 4 else "middle" if len(name) < 6 else "long"


def _letters() -> Made:
    rows: Rows = []
    for point in range(0x10400):
        words = unicodedata.name(chr(point), "").split()
        if len(words) == 4 and words[0] in _SCRIPTS and words[2] == "LETTER":
            rows.append((f"{words[0].title()} {words[1].lower()} {words[3].lower()}", str(point), words[0].title()))
    return ("Letter", "Code point", "Script"), rows


def _months() -> Made:
    rows: Rows = [
        (f"{calendar.month_name[month]} {year}", str(calendar.monthrange(year, month)[1]), calendar.day_name[first])
        for year in range(1950, 2031)
        for month in range(1, 13)
        for first in [calendar.weekday(year, month, 1)]
    ]
    return ("Month", "Days", "First day"), rows


SOURCES = {"statuses": _statuses, "entities": _entities, "letters": _letters, "months": _months}


@lru_cache(maxsize=4)
def embedded_tables(count: int, rows: int, seed: int) -> tuple[Table, ...]:
    """Return tables of at most `rows` rows, cut from the sources in turn; no row is in two tables.

    The first column of a table names its rows, the second holds numbers, the third kinds that come again. Fewer than `count`
    where the sources end.
    """
    generator = numpy_generator(seed)
    pieces = [list(_pieces(name, rows, generator.permutation)) for name in SOURCES]
    found: list[Table] = []
    for number in range(max(map(len, pieces))):
        found += [part[number] for part in pieces if number < len(part)]
    return tuple(found[:count])


def _pieces(source: str, size: int, permutation: Callable[[int], NDArray[np.int64]]) -> Iterator[Table]:
    header, rows = SOURCES[source]()
    unique = list({row[0]: row for row in rows}.values())
    order = permutation(len(unique))
    for first in range(0, len(unique) - size + 1, size):
        chosen = tuple(unique[i] for i in order[first : first + size])
        yield Table(header, chosen, f"{source} {first // size}")
