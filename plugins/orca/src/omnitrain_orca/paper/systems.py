"""Which system message a query gets (section 3.1, table 2): a set by collection, and a draw inside it by the query alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from omnitrain_orca.paper.sampling import Collection

SYSTEMS = range(1, 17)
"""Ids of the sixteen messages; 1 is the empty one."""
SETS: Mapping[Collection, Sequence[int]] = {
    "cot": (6, 11, 16),
    "niv": (1, 2, 5, 7, 9, 12, 13, 14, 15),
    "t0": (1, 2, 3, 5, 7),
    "flan": (3, 4, 7),
}
MULTIPLE_CHOICE: Sequence[int] = (8, 10)
"""The set of queries of Flan 2021 with options; `SETS` holds that of all others."""
_HEADED = re.compile(r"^[ \t]*(?:options|choices|answer choices)\s*:", re.IGNORECASE | re.MULTILINE)
_LETTERED = re.compile(r"\(([A-H])\)|^[ \t]*([A-H])[.)]\s", re.MULTILINE)
_MASK = 2**64 - 1


def is_multiple_choice(text: str) -> bool:
    """Tell whether a query shows options: under a heading, or lettered in their order from A to B at least.

    The paper doesn't say how it tells.
    """
    if _HEADED.search(text):
        return True
    letters = [found[1] or found[2] for found in _LETTERED.finditer(text)]
    return any(pair == ("A", "B") for pair in pairwise(letters))


def mixed(digest: int, seed: int) -> int:
    """Return 64 bits that depend on a query's digest and a seed alone (the finaliser of SplitMix64)."""
    z = (digest + seed * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def system_set(collection: Collection, has_options: bool) -> Sequence[int]:
    """Return the ids among which a query's system message is drawn."""
    return MULTIPLE_CHOICE if collection == "flan" and has_options else SETS[collection]


def system_of(collection: Collection, has_options: bool, digest: int, seed: int) -> int:
    """Return the id of a query's system message: the same whenever the query is met, and whoever answers it."""
    ids = system_set(collection, has_options)
    return ids[mixed(digest, seed) * len(ids) >> 64]
