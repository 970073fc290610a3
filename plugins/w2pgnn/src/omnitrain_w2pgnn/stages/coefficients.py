"""Correlation coefficients; 0 where one side does not vary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Floats


def pearson(x: Sequence[float] | Floats, y: Sequence[float] | Floats) -> float:
    """Return Pearson's coefficient of two series of equal length."""
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(a) < 2:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 1e-15 else 0.0


def spearman(x: Sequence[float] | Floats, y: Sequence[float] | Floats) -> float:
    """Return Spearman's coefficient: Pearson's of the ranks, equal values sharing theirs."""
    from scipy.stats import rankdata  # type: ignore[import-untyped, unused-ignore]

    return pearson(rankdata(x), rankdata(y))
