"""(Smoothed, fused) Gromov-Wasserstein barycenters as graphons, all graphs of a collection at once (Xu et al., 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Floats, Graphs, Ints
from omnitrain_w2pgnn.paper.graphons.alignment import block_sums

# Entries of the padded matrices of one block of graphs: bounds the memory.
BLOCK = 1 << 23
TINY = 1e-16
STOP = 1e-10


@dataclass(frozen=True)
class BarycenterSettings:
    """smoothness: alpha, strength of the second differences. kernel: beta, entropic regularisation. balance: gamma, share of
    the structural cost against that of the node probabilities. inner: Sinkhorn sweeps. outer: updates of the barycenter.
    smoothed: whether alpha is used."""

    smoothness: float = 3e-4
    kernel: float = 5e-3
    balance: float = 1.0
    inner: int = 50
    outer: int = 20
    smoothed: bool = True


def target_distribution(probabilities: list[Floats], points: int | None = None) -> Floats:
    """Return the node probabilities of the barycenter, float64[points], from those of the graphs.

    Each is sorted descending and read off at equidistant points; 1e-3 is added once a graph. points: by default the size of
    the smallest graph.
    """
    points = min(len(p) for p in probabilities) if points is None else points
    total = np.zeros(points)
    for own in probabilities:
        descending = np.sort(own)[::-1]
        total += np.interp(np.linspace(0, 1, points), np.linspace(0, 1, len(own)), descending) + 1e-3
    return np.asarray(total / total.sum(), np.float64)


def _smoothing(points: int, strength: float, target: Floats) -> tuple[Floats, Floats]:
    """Return the matrices L2 and P2 of the closed-form smoothed update."""
    second = np.diff(np.eye(points), n=2, axis=0)
    left, values, _ = np.linalg.svd(strength * second.T @ second)
    denominator = values**2 + target**2
    return (left * (values / denominator)) @ left.T, np.diag(target / denominator)


def _sinkhorn(kernel: Floats, target: Floats, own: Floats, inner: int) -> Floats:
    """Return couplings float64[graphs, k, n] with kernel float64[graphs, k, n], target float64[k], own float64[graphs, n].

    Each graph stops by itself when the relative change of its scaling falls below 1e-10.
    """
    count, points, _ = kernel.shape
    row = np.full((count, points), 1.0 / points)
    column = np.zeros_like(own)
    active = np.arange(count)
    for _ in range(inner):
        current = kernel[active]
        below = np.matmul(row[active, None, :], current)[:, 0]
        column[active] = np.divide(own[active], below, out=np.zeros_like(below), where=below > 0)
        after = target / np.matmul(current, column[active][:, :, None])[:, :, 0]
        change = np.abs(after - row[active]).sum(axis=1) / np.abs(row[active]).sum(axis=1)
        row[active] = after
        active = active[change > STOP]
        if len(active) == 0:
            break
    return np.asarray(row[:, :, None] * kernel * column[:, None, :], np.float64)


@dataclass
class _Block:
    """Padded graphs of like size. matrices: float64[graphs, n, n], own: probabilities float64[graphs, n], real: bool."""

    matrices: Floats
    own: Floats
    real: np.ndarray
    cost: Floats
    prior: Floats
    coupling: Floats


def _blocks(graphs: Graphs, probabilities: Floats, target: Floats, settings: BarycenterSettings) -> list[_Block]:
    order = np.argsort(graphs.sizes, kind="stable")
    found, begin = [], 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and (end - begin + 1) * int(graphs.sizes[order[end]]) ** 2 <= BLOCK:
            end += 1
        chosen = order[begin:end]
        width = max(int(graphs.sizes[chosen].max()), 1)
        matrices, own = np.zeros((len(chosen), width, width)), np.zeros((len(chosen), width))
        for row, graph in enumerate(chosen):
            size = int(graphs.sizes[graph])
            matrices[row, :size, :size] = graphs.adjacency(int(graph))
            own[row, :size] = probabilities[graphs.offsets[graph] : graphs.offsets[graph + 1]]
        real = np.arange(width)[None, None, :] < graphs.sizes[chosen][:, None, None]
        cost = _normalised((target[None, :, None] - own[:, None, :]) ** 2, real)
        coupling = _sinkhorn(np.exp(-cost / settings.kernel), target, own, settings.inner)
        found.append(_Block(matrices, own, real, cost, coupling + TINY, coupling))
        begin = end
    return found


def _normalised(cost: Floats, real: np.ndarray) -> Floats:
    """Divide each graph's cost by its largest entry among the real nodes."""
    largest = np.where(real, cost, -np.inf).max(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(cost, largest, out=np.zeros_like(cost), where=largest != 0), np.float64)


def barycenter(graphs: Graphs, probabilities: Floats, points: int, settings: BarycenterSettings) -> Floats:
    """Return the barycenter of a collection as a step function float64[points, points], clipped to [0, 1].

    probabilities: float64[nodes] of the graphs' nodes, in their own order: no alignment is needed.
    """
    filled = graphs.take(np.flatnonzero(graphs.sizes > 0))
    split = [p for p in np.split(probabilities, graphs.offsets[1:-1]) if len(p)]
    target = target_distribution(split, points)
    blocks = _blocks(filled, np.concatenate(split), target, settings)
    left, right = _smoothing(points, settings.smoothness, target) if settings.smoothed else (None, None)
    result = np.zeros((points, points))
    for _ in range(settings.outer):
        mean = np.zeros((points, points))
        for block in blocks:
            carried = np.matmul(block.coupling, block.matrices)
            mean += np.matmul(carried, block.coupling.transpose(0, 2, 1)).sum(axis=0)
        mean /= len(filled)
        if left is not None and right is not None:
            result = left @ mean @ left.T + right @ mean @ right.T
        else:
            result = mean / np.outer(target, target)
        for block in blocks:
            block.coupling = _moved(result, target, block, settings)
    return np.clip(result, 0, 1)


def _moved(result: Floats, target: Floats, block: _Block, settings: BarycenterSettings) -> Floats:
    """Return the couplings for the current barycenter; the prior is that of the first round throughout."""
    first = (result**2 @ target)[None, :, None]
    second = np.matmul(block.matrices**2, block.own[:, :, None]).transpose(0, 2, 1)
    cross = np.matmul(np.matmul(result[None], block.coupling), block.matrices.transpose(0, 2, 1))
    structural = first + second - 2 * cross
    cost = settings.balance * structural + (1 - settings.balance) * block.cost
    kernel = np.exp(-_normalised(cost, block.real) / settings.kernel) * block.prior
    return _sinkhorn(kernel, target, block.own, settings.inner)


def graph_lists(graphs: Graphs, ranks: Ints) -> tuple[Floats, Floats]:
    """Return the sums of the aligned, padded matrices of the first half of the graphs and of the rest, float64[N, N]."""
    size, half = int(graphs.sizes.max()), max(len(graphs) // 2, 1)
    front = (np.arange(len(graphs)) < half).astype(np.float64)
    first = block_sums(graphs, ranks, 1, size, front)
    second = first if len(graphs) == 1 else block_sums(graphs, ranks, 1, size, 1 - front)
    return first, second
