"""Which stretches of web video are clean, by the classes of its frames (app. A.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def median_filter(labels: NDArray[Any], width: int = 7) -> NDArray[np.int64]:
    """Return the running median of classes 0 and 1, int64[n]; at the ends the window is filled with the edge's class."""
    half = width // 2
    padded = np.pad(np.asarray(labels, np.int64), half, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, width), -1), np.int64)


def clean_runs(labels: NDArray[Any], least: int) -> list[tuple[int, int]]:
    """Return (begin, end) of the runs of 1 that are at least `least` long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(labels, np.int64), [0]])))
    return [(int(b), int(e)) for b, e in zip(edges[::2], edges[1::2], strict=True) if e - b >= least]
