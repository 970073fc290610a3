"""Total-variation denoising of a matrix (Chambolle 2004), as scikit-image iterates and stops it."""

from __future__ import annotations

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Floats

STEP = 0.25  # the largest step of the dual iteration that is stable in two dimensions


def total_variation(image: Floats, weight: float, eps: float = 2e-4, iterations: int = 200) -> Floats:
    """Return the minimiser of |x - image|^2 / 2 + weight TV(x), approximately, float64 of the same shape.

    weight: 0 returns the image. eps: stop when the energy changes by less than this share of its first value. The result
    depends on this stop: run to convergence it differs by up to 2e-4.
    """
    if weight <= 0 or image.size == 0:
        return image.copy()
    dual = np.zeros((2, *image.shape))
    gradient = np.zeros_like(dual)
    out, first, previous = image, 0.0, 0.0
    for number in range(iterations):
        divergence = -dual.sum(axis=0)
        divergence[1:] += dual[0, :-1]
        divergence[:, 1:] += dual[1, :, :-1]
        out = image + divergence
        gradient[0, :-1] = np.diff(out, axis=0)
        gradient[1, :, :-1] = np.diff(out, axis=1)
        length = np.sqrt((gradient**2).sum(axis=0))
        energy = float((divergence**2).sum() + weight * length.sum()) / image.size
        dual = (dual - STEP * gradient) / (1 + length * (STEP / weight))
        if number == 0:
            first = energy
        elif abs(previous - energy) < eps * first:
            break
        previous = energy
    return out
