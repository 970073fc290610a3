"""min a' Q a - 2 b' a over the simplex: exactly for one b, approximately for many at once."""

from __future__ import annotations

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Floats

TOLERANCE = 1e-12


def project(points: Floats) -> Floats:
    """Return the nearest points of the simplex, float64[rows, dim]."""
    descending = -np.sort(-points, axis=1)
    excess = (np.cumsum(descending, axis=1) - 1) / np.arange(1, points.shape[1] + 1)
    last = (descending > excess).sum(axis=1) - 1
    return np.asarray(np.maximum(points - excess[np.arange(len(points)), last][:, None], 0), np.float64)


def screen(q: Floats, b: Floats, steps: int = 60) -> tuple[Floats, Floats]:
    """Return nearly optimal points float64[rows, dim] and values float64[rows] for many linear terms b float64[rows, dim]."""
    rate = 1 / max(float(np.linalg.eigvalsh(q)[-1]), 1e-12)
    point = np.full(b.shape, 1 / b.shape[1])
    ahead, momentum = point, 1.0
    for _ in range(steps):
        new = project(ahead - rate * (ahead @ q - b))
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - point)
        point, momentum = new, following
    values = np.einsum("ri,ij,rj->r", point, q, point) - 2 * (b * point).sum(axis=1)
    return point, values


def minimise(q: Floats, b: Floats) -> Floats:
    """Return the minimiser float64[dim] by an active-set method: exact up to rounding, of few steps for few bases."""
    count = len(b)
    point = np.zeros(count)
    point[int(np.argmin(np.diag(q) - 2 * b))] = 1.0
    support = point > 0
    for _ in range(4 * count + 10):
        wanted = _on_support(q, b, support)
        if bool((wanted[support] > TOLERANCE).all()):
            point = wanted
            gradient = q @ point - b
            level = gradient[support].mean()
            gain = np.where(support, np.inf, gradient - level)
            enters = int(gain.argmin())
            if gain[enters] >= -TOLERANCE * max(1.0, abs(level)):
                break
            support[enters] = True
            continue
        blocked = support & (wanted <= TOLERANCE)
        step = point - wanted
        room = np.where(blocked & (step > 0), point / np.where(step > 0, step, 1.0), np.inf)
        share = min(float(room.min()), 1.0)
        point = np.clip(point - share * step, 0, None)
        leaves = blocked & (room <= share + TOLERANCE)
        if not bool(leaves.any()):
            break
        point[leaves] = 0
        support &= ~leaves
    total = point.sum()
    return np.asarray(point / total, np.float64)


def _on_support(q: Floats, b: Floats, support: np.ndarray) -> Floats:
    """Return the minimiser whose entries outside of the support are 0 and whose sum is 1, of either sign."""
    chosen = np.flatnonzero(support)
    size = len(chosen)
    system = np.zeros((size + 1, size + 1))
    system[:size, :size] = q[np.ix_(chosen, chosen)]
    system[:size, size] = system[size, :size] = 1
    solved = np.linalg.lstsq(system, np.append(b[chosen], 1.0), rcond=None)[0]
    found = np.zeros(len(b))
    found[chosen] = solved[:size]
    return found
