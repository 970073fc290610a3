"""Which points are on the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping


def pareto(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the names of points (x, y), lower is better for both, for which no other is at least as good and once better."""
    return [
        name
        for name, (x, y) in points.items()
        if not any(a <= x and b <= y and (a, b) != (x, y) for other, (a, b) in points.items() if other != name)
    ]
