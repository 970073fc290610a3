"""What was wrong with data that is read, counted by kind, with the first places of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

SHOWN = 5


@dataclass
class Problems:
    """What was wrong: kind to count, and the first few places of each. told: kinds that are no fault."""

    told: ClassVar[frozenset[str]] = frozenset()
    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    @property
    def faults(self) -> int:
        """How many of them are faults; what is only told is none."""
        return sum(count for kind, count in self.counts.items() if kind not in self.told)

    def add(self, kind: str, place: str) -> None:
        """Count one problem."""
        self.counts[kind] += 1
        shown = self.places.setdefault(kind, [])
        if len(shown) < SHOWN:
            shown.append(place)

    def merge(self, other: Problems) -> None:
        """Add what another reader has found."""
        for kind, count in other.counts.items():
            self.counts[kind] += count
            self.places[kind] = (self.places.get(kind, []) + other.places[kind])[:SHOWN]

    def summary(self) -> str:
        """Return "3 lines that are no JSON (a.jsonl:7, ...); ...", or an empty text."""
        return "; ".join(
            f"{count} {kind} ({', '.join(self.places[kind])}{', ...' if count > SHOWN else ''})"
            for kind, count in sorted(self.counts.items())
        )
