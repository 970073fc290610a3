"""Correlation coefficients with bootstrap intervals; 0 where one side does not vary."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Coefficient = Callable[[Sequence[float], Sequence[float]], float]


def pearson(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Pearson's coefficient of two series of equal length."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(a) < 2:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 1e-15 else 0.0


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Return Spearman's coefficient: Pearson's of the ranks, equal values sharing theirs."""
    from scipy.stats import rankdata  # type: ignore[import-untyped, unused-ignore]

    return pearson(rankdata(x).tolist(), rankdata(y).tolist())


def bootstrap_interval(
    coefficient: Coefficient, x: Sequence[float], y: Sequence[float], draws: int, seed: int
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval over points drawn again with replacement; None for fewer than 4 points."""
    if len(x) < 4 or draws < 1:
        return None
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    generator = np.random.default_rng(seed % 2**63)
    rows = generator.integers(0, len(a), (draws, len(a)))
    values = [coefficient(a[r].tolist(), b[r].tolist()) for r in rows]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
