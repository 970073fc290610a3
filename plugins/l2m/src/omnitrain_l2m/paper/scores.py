"""Scores that compare tasks: returns as a share of what the task's data reach (section 5)."""

from __future__ import annotations


def normalised_score(raw: float, random: float, data: float) -> float:
    """Return (raw - random) / (data - random): 0 is random play, 1 the mean return of the data."""
    return (raw - random) / (data - random)
