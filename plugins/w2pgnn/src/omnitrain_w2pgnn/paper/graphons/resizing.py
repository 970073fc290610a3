"""Step functions at another resolution: bilinear as in the official code, or exact averages of the pieces."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from omnitrain_w2pgnn.graphs.structure import Floats


def resize_bilinear(matrix: Floats, size: int) -> Floats:
    """Return float64[size, size]: half-pixel centres, replicated border, no anti-aliasing; the official resize."""
    values = torch.from_numpy(np.ascontiguousarray(matrix, np.float64))[None, None]
    resized = torch.nn.functional.interpolate(values, size=(size, size), mode="bilinear", align_corners=False)
    found: Floats = resized[0, 0].numpy()
    return found


@lru_cache(maxsize=64)
def _overlaps(pieces: int, size: int) -> Floats:
    """Share of each new piece that lies in each old one, float64[size, pieces]; rows add up to 1."""
    edges, old = np.linspace(0, 1, size + 1), np.linspace(0, 1, pieces + 1)
    low = np.maximum(edges[:-1, None], old[None, :-1])
    high = np.minimum(edges[1:, None], old[None, 1:])
    share = np.clip(high - low, 0, None) * size
    return np.asarray(share / share.sum(axis=1, keepdims=True), np.float64)


def resize_average(matrix: Floats, size: int) -> Floats:
    """Return the mean of a step function over each cell of a size x size grid, float64[size, size].

    It keeps the edge density exactly, stays in the range of the values, and is linear, so mixing and resizing commute.
    """
    if len(matrix) == size:
        return np.array(matrix, np.float64)
    share = _overlaps(len(matrix), size)
    return np.asarray(share @ matrix @ share.T, np.float64)
