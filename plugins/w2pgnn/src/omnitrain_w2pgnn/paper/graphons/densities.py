"""Homomorphism densities of step functions, cut norms, and the bound by which patterns carry over (section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Floats

EDGES = {"edge": 1, "wedge": 2, "triangle": 3, "4-cycle": 4}


def motif_densities(graphon: Floats) -> dict[str, float]:
    """Return t(F, W) for edge, wedge, triangle and 4-cycle, as exact sums over the step function float64[n, n]."""
    size = len(graphon)
    square = graphon @ graphon
    degrees = graphon.sum(axis=1)
    return {
        "edge": float(graphon.sum()) / size**2,
        "wedge": float(degrees @ degrees) / size**3,
        "triangle": float(np.sum(square * graphon)) / size**3,
        "4-cycle": float(np.sum(square * square)) / size**4,
    }


@dataclass(frozen=True)
class CutNorm:
    """Bounds of the cut norm of a difference of graphons: lower was found, upper is spectral."""

    lower: float
    upper: float


def cut_norm(difference: Floats, starts: int = 20, seed: int = 0) -> CutNorm:
    """Bound the cut norm of a step function float64[n, n]: the largest |sum over S x T| / n^2.

    lower: by alternating maximisation from random sets, upper: largest singular value / n, at most the mean of |D|.
    """
    size = len(difference)
    generator = np.random.default_rng(seed)
    best = 0.0
    for start in range(starts):
        for sign in (1.0, -1.0):
            signed = sign * difference
            chosen = np.ones(size) if start == 0 else (generator.random(size) < 0.5).astype(np.float64)
            value = -1.0
            while True:
                columns = (chosen @ signed > 0).astype(np.float64)
                chosen = (signed @ columns > 0).astype(np.float64)
                new = float(chosen @ signed @ columns)
                if new <= value + 1e-12:
                    break
                value = new
            best = max(best, value)
    spectral = float(np.linalg.norm(difference, 2)) / size
    return CutNorm(best / size**2, min(spectral, float(np.abs(difference).mean())))


def motif_bounds(generator: Floats, basis: Floats) -> dict[str, tuple[float, float]]:
    """Return for each motif (|t(F, generator) - t(F, basis)|, e(F) * upper cut norm): the counting lemma."""
    ours, theirs = motif_densities(generator), motif_densities(basis)
    upper = cut_norm(generator - basis, starts=1).upper
    return {name: (abs(ours[name] - theirs[name]), edges * upper) for name, edges in EDGES.items()}
