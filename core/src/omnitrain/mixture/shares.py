"""How often each member has its turn: shares, and whole numbers of turns that keep them exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from omnitrain.errors import UsageError

LONGEST = 2**20
"""Most turns of a cycle: what a cycle takes in memory and time, and how finely it tells shares apart."""


def shares(weights: Sequence[float], sizes: Sequence[int | None], alpha: float) -> list[float]:
    """Return w_k n_k^alpha over its sum; sizes may be unknown for alpha 0."""
    parts = [weight * (size or 1) ** alpha if alpha else weight for weight, size in zip(weights, sizes, strict=True)]
    total = math.fsum(parts)
    return [part / total for part in parts]


def whole(parts: Sequence[float], total: int) -> list[int]:
    """Split a total in proportion to parts that sum to 1: each is rounded down, the rest goes to the largest remainders."""
    exact = [part * total for part in parts]
    found = [math.floor(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(found)), key=lambda k: (found[k] - exact[k], k))
    for k in by_remainder[: total - sum(found)]:
        found[k] += 1
    return found


def turns(names: Sequence[str], weights: Sequence[float], sizes: Sequence[int | None], alpha: float) -> list[int]:
    """Return how many turns each member has in a cycle.

    A union (alpha 1, equal weights) has a turn for each example; other shares the smallest whole numbers in their
    proportion. What needs more than LONGEST turns is rounded to so many. Raises UsageError for a member that gets none.
    """
    known = [size for size in sizes if size is not None]
    if alpha == 1 and len(set(weights)) == 1 and len(known) == len(sizes) and sum(known) <= LONGEST:
        return known
    parts = shares(weights, sizes, alpha)
    counts = _exact(parts) or whole(parts, LONGEST)
    for name, part, count in zip(names, parts, counts, strict=True):
        if not count:
            raise UsageError(
                f"members.{name}: its share of {part:.2g} is less than one turn in {LONGEST:,}; raise its weight, or take it "
                "out."
            )
    return counts


def _exact(parts: Sequence[float]) -> list[int] | None:
    """Return the smallest whole numbers in proportion to parts, or None where they are too large."""
    ratios = [Fraction(part).limit_denominator(LONGEST) for part in parts]
    length = math.lcm(*(ratio.denominator for ratio in ratios))
    close = all(abs(float(ratio) - part) < 1e-12 for ratio, part in zip(ratios, parts, strict=True))
    if length > LONGEST or not close or sum(ratios) != 1:
        return None
    return [int(ratio * length) for ratio in ratios]


def rows_of_update(names: Sequence[str], parts: Sequence[float], rows: int) -> list[int]:
    """Return how many rows of every update each member has, where members give their batches in an order of their own.

    Raises UsageError where one would have none.
    """
    found = whole(parts, rows)
    for name, part, count in zip(names, parts, found, strict=True):
        if not count:
            raise UsageError(
                f"members.{name}: its share of {part:.2g} is less than one of the {rows} examples of an update on a process, "
                "and some members have only an order of their own, so that every update is divided alike; raise "
                "fit.batch_size or set unit: update."
            )
    return found
