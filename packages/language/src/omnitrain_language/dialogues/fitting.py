"""Rows that are longer than they may be: refused, dropped or cut, counted and named."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from omnitrain.errors import DataError
from omnitrain_language.dialogues.rows import Row

TooLong = Literal["refuse", "drop", "cut"]
_SHOWN = 5
_log = logging.getLogger("omnitrain.language")


@dataclass
class Noted:
    """What of a split is not as its file has it: how many for which reason, and the first few with their places."""

    counts: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)

    def add(self, place: str, reason: str, detail: str = "") -> None:
        """Count one dialogue."""
        self.counts[reason] += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(f"{place} ({detail})" if detail else place)

    def __str__(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.counts.items()))
        return f"{reasons}; the first: {', '.join(self.shown)}"


@dataclass
class Fitting:
    """Makes rows of at most `length` tokens. name: of the split and its file, for what is told."""

    name: str
    length: int
    too_long: TooLong
    refuses_specials: bool
    noted: Noted = field(default_factory=Noted)
    refused: Noted = field(default_factory=Noted)
    remedies: dict[str, None] = field(default_factory=dict)

    def spells(self, place: str, token: str) -> None:
        """Take note of a dialogue that spells out a special token where it would be taken for the token itself."""
        spelled = "spell out a special token"
        if self.refuses_specials:
            self._refuse(place, spelled, token, "malformed: skip to leave out those that spell out special tokens")
        else:
            self.noted.add(place, f"left out since they {spelled}", token)

    def _refuse(self, place: str, reason: str, detail: str, remedy: str) -> None:
        self.refused.add(place, reason, detail)
        self.remedies[remedy] = None

    def fitted(self, row: Row, place: str) -> Iterator[Row]:
        """Yield the row, or what is kept of it."""
        over = f"longer than length {self.length}"
        if len(row) <= self.length:
            yield row
        elif self.too_long == "refuse":
            self._refuse(place, over, f"{len(row)} tokens", "too_long to drop or cut (or raise length)")
        elif self.too_long == "drop":
            self.noted.add(place, f"left out, {over}", f"{len(row)} tokens")
        elif any(part >= 0 for part in row.every_part[1 : self.length]):
            self.noted.add(place, f"cut at their end, {over}", f"{len(row)} tokens")
            yield row.cut(self.length)
        else:
            self.noted.add(place, f"left out, {over} before any response", f"{len(row)} tokens")

    def ended(self, kept: int) -> None:
        """Tell what was noted. Raises DataError for what is refused, and where nothing is left."""
        if self.refused.counts:
            raise DataError(f"{self.name}: dialogues {self.refused}; set {', and '.join(self.remedies)}")
        if self.noted.counts:
            _log.warning("%s: dialogues %s", self.name, self.noted)
        if not kept and self.noted.counts:
            raise DataError(f"{self.name}: no dialogue is left that fits; it needs other records, or a larger length")
        if not kept:
            raise DataError(
                f"{self.name} holds no dialogue; give it records, or set what decides about its share, valid_fraction"
            )
