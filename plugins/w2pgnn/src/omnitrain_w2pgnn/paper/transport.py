"""Gromov-Wasserstein distance of graphons with square loss: exact local search from several starts (section 4.3).

On one grid with uniform weights every linear step is an assignment problem, which is solved faster than optimal transport, and
the coupling stays a mix of permutations. Other weights and sizes go to POT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped, unused-ignore]

from omnitrain.errors import UsageError
from omnitrain_w2pgnn.graphs.structure import Floats, Ints

# A step that gains less than this share of the loss is the last one; POT's value, and one to tell starts apart by.
RELATIVE, COARSE, ABSOLUTE = 1e-9, 1e-3, 1e-13
FINE = 1e-5
STEPS = 500
POLISHED = 3
RANDOM_STARTS = 8
EIGENVECTORS = 3


@dataclass(frozen=True)
class Transport:
    """squared: GW^2 (no factor 1/2), never below 0. coupling: float64[n, m], its marginals the node weights."""

    squared: float
    coupling: Floats

    @property
    def distance(self) -> float:
        """The Gromov-Wasserstein distance."""
        return float(np.sqrt(self.squared))


def permutation_coupling(columns: Ints) -> Floats:
    """Return the coupling float64[n, n] that sends node i to node columns[i]."""
    coupling = np.zeros((len(columns), len(columns)))
    coupling[np.arange(len(columns)), columns] = 1 / len(columns)
    return coupling


def _matched(first: Floats, second: Floats) -> Ints:
    """Return columns so that the nodes with the k-th largest key on both sides meet."""
    columns = np.empty(len(first), np.int64)
    columns[np.argsort(-first, kind="stable")] = np.argsort(-second, kind="stable")
    return columns


def _eigenvectors(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors[:, np.argsort(-np.abs(values), kind="stable")[:EIGENVECTORS]], np.float64)


def degree_coupling(first: Floats, second: Floats) -> Floats:
    """Return the coupling in which the nodes with the k-th largest degree on both sides meet."""
    return permutation_coupling(_matched(first.sum(1), second.sum(1)))


def starting_couplings(first: Floats, second: Floats, randoms: int = RANDOM_STARTS, seed: int = 0) -> list[Floats]:
    """Return couplings to start from: product, nodes matched by degree, by leading eigenvectors, and random permutations.

    From the product alone the search stands still where all degrees are equal.
    """
    size = len(first)
    starts = [np.full((size, size), size**-2.0), degree_coupling(first, second)]
    ours, theirs = _eigenvectors(first), _eigenvectors(second)
    for number in range(min(EIGENVECTORS, size)):
        starts += [permutation_coupling(_matched(ours[:, number], sign * theirs[:, number])) for sign in (1, -1)]
    generator = np.random.default_rng(seed)
    starts += [permutation_coupling(generator.permutation(size)) for _ in range(randoms)]
    return starts


def refine(first: Floats, second: Floats, coupling: Floats, relative: float = RELATIVE) -> Transport:
    """Follow the conditional gradient with exact line search from one coupling to a local minimum.

    first, second: symmetric float64[n, n], uniform node weights. relative: share of the loss that a step must gain to go on.
    """
    size = len(first)
    constant = float(np.sum(first**2) + np.sum(second**2)) / size**2
    coupling = coupling.copy()
    moved = first @ coupling @ second  # half of minus the gradient, up to terms that the marginals fix
    inner = float(np.sum(moved * coupling))
    rows = np.arange(size)
    for _ in range(STEPS):
        _, columns = linear_sum_assignment(moved, maximize=True)
        towards = first @ second[columns] / size
        cross = float(moved[rows, columns].sum()) / size
        square = float(towards[rows, columns].sum()) / size
        linear, quadratic = -4 * (cross - inner), -2 * (square - 2 * cross + inner)
        share = _line_search(quadratic, linear)
        decrease = -(quadratic * share + linear) * share
        loss = constant - 2 * inner
        if share == 0 or decrease <= max(ABSOLUTE, relative * abs(loss)):
            break
        coupling *= 1 - share
        coupling[rows, columns] += share / size
        moved += share * (towards - moved)
        inner = (1 - share) ** 2 * inner + 2 * share * (1 - share) * cross + share**2 * square
    return Transport(squared_distance(first, second, coupling), coupling)


def _line_search(quadratic: float, linear: float) -> float:
    """Return where quadratic x^2 + linear x is smallest on [0, 1]."""
    if quadratic > 0:
        return min(max(-linear / (2 * quadratic), 0.0), 1.0)
    return 1.0 if quadratic + linear < 0 else 0.0


def squared_distance(first: Floats, second: Floats, coupling: Floats) -> float:
    """Return the square loss of a coupling, sum over (i, j, k, l) of (C1_ik - C2_jl)^2 T_ij T_kl, rounding below 0 cut off.

    Where the coupling is a permutation the differences are taken first: a distance of 0 comes out as 0, not as 1e-8.
    """
    size = len(first)
    places = coupling.argmax(axis=1)
    if len(second) == size and np.allclose(coupling[np.arange(size), places] * size, 1.0, atol=1e-12):
        return float(np.mean((first - second[np.ix_(places, places)]) ** 2))
    p, q = coupling.sum(axis=1), coupling.sum(axis=0)
    fixed = p @ (first**2) @ p + q @ (second**2) @ q
    return max(float(fixed - 2 * np.sum((first @ coupling @ second) * coupling)), 0.0)


def search(first: Floats, second: Floats, starts: list[Floats], kept: int = 1, relative: float = FINE) -> list[Transport]:
    """Return the best local minima that starts lead to, best first: all coarsely, the best of them to the end."""
    rough: list[Transport] = []
    for start in starts:
        rough.append(refine(first, second, start, COARSE))
        if rough[-1].squared <= ABSOLUTE:
            break
    rough.sort(key=lambda t: t.squared)
    fine = [refine(first, second, found.coupling, relative) for found in rough[: max(kept, POLISHED)]]
    return sorted(fine, key=lambda t: t.squared)[:kept]


def gromov_wasserstein(
    first: Floats,
    second: Floats,
    p: Floats | None = None,
    q: Floats | None = None,
    randoms: int = RANDOM_STARTS,
    seed: int = 0,
) -> Transport:
    """Return the smallest loss found from all starts; symmetric in its arguments, never NaN.

    first: symmetric [n, n], second: [m, m], of any real numbers. p, q: node weights of sum 1, uniform where None.
    Raises UsageError for what is no such matrix or weights.
    """
    first, second = _symmetric(first, "first"), _symmetric(second, "second")
    p, q = _node_weights(p, len(first), "p"), _node_weights(q, len(second), "q")
    uniform = all(w is None or np.allclose(w, 1 / len(w), rtol=0, atol=1e-12) for w in (p, q))
    if uniform and len(first) == len(second):
        return search(first, second, starting_couplings(first, second, randoms, seed), 1, RELATIVE)[0]
    return _general(first, second, p, q, randoms, seed)


def _symmetric(matrix: Floats, name: str) -> Floats:
    """Return a matrix as float64: whole numbers would cut the couplings that are computed with them down to zero."""
    found = np.asarray(matrix, np.float64)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or not len(found):
        raise UsageError(f"{name}: a matrix of shape {list(found.shape)}; expected a square one.")
    if not np.isfinite(found).all():
        raise UsageError(f"{name}: the matrix holds NaN or infinite values.")
    if not np.allclose(found, found.T, rtol=1e-6, atol=1e-9):
        raise UsageError(f"{name}: the matrix is not symmetric; take the mean of it and its transpose for undirected graphs.")
    return found


def _node_weights(weights: Floats | None, nodes: int, name: str) -> Floats | None:
    if weights is None:
        return None
    found = np.asarray(weights, np.float64)
    if found.shape != (nodes,) or not np.isfinite(found).all() or bool((found < 0).any()) or abs(found.sum() - 1) > 1e-6:
        raise UsageError(
            f"{name}: expected {nodes} node weights, none below 0, of sum 1; found {found.shape}, sum {found.sum():g}."
        )
    return found


def _general(first: Floats, second: Floats, p: Floats | None, q: Floats | None, randoms: int, seed: int) -> Transport:
    import ot  # type: ignore[import-untyped, unused-ignore]

    n, m = len(first), len(second)
    p = np.full(n, 1 / n) if p is None else np.asarray(p, np.float64)
    q = np.full(m, 1 / m) if q is None else np.asarray(q, np.float64)
    generator = np.random.default_rng(seed)
    costs = [-np.outer(first @ p, second @ q), np.outer(first @ p, second @ q)]
    costs += [generator.random((n, m)) for _ in range(randoms)]
    # Costs from 0, which has the same optimum: of negative ones POT's solver makes a coupling without mass.
    starts = [np.outer(p, q), *(ot.emd(p, q, cost - cost.min()) for cost in costs)]
    couplings = [ot.gromov.gromov_wasserstein(first, second, p, q, "square_loss", symmetric=True, G0=start) for start in starts]
    values = [squared_distance(first, second, coupling) for coupling in couplings]
    best = int(np.argmin(values))
    return Transport(values[best], np.asarray(couplings[best], np.float64))
