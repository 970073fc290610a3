"""SBA (Airoldi et al.): stochastic blocks by greedy clustering of nodes around pivots."""

from __future__ import annotations

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Floats, Ints


def _products(first: Floats, second: Floats) -> Floats:
    """Return sum over s other than i, j of (a_is - a_js)(b_is - b_js) for all pairs (i, j), float64[n, n].

    Counts of edges are whole numbers, which float64 adds without rounding: equal distances stay equal.
    """
    gram = first @ second.T
    own = np.diag(gram)
    whole = own[:, None] + own[None, :] - gram - gram.T
    a, b = np.diag(first), np.diag(second)
    at_i = (a[:, None] - first.T) * (b[:, None] - second.T)
    return np.asarray(whole - at_i - at_i.T, np.float64)


def node_distances(first: Floats, second: Floats, weight: float) -> Floats:
    """Return the distances of all pairs of nodes, float64[n, n], from two half sums of aligned matrices float64[n, n]."""
    others = max(len(first) - 2, 1)
    squares = np.abs(_products(first, second)) + np.abs(_products(first.T, second.T))
    return np.asarray(np.sqrt(0.5 * weight * squares / others), np.float64)


def pivot_blocks(distances: Floats, threshold: float, order: Ints) -> Ints:
    """Return the block of each node, int64[n]: nodes come in the given order and join the nearest pivot within the threshold.

    Otherwise they open a block, whose pivot they are; of equally near pivots the first wins.
    """
    block = np.empty(len(order), np.int64)
    pivots: list[int] = []
    for node in order.tolist():
        if pivots:
            near = distances[node, pivots]
            best = int(near.argmin())
            if near[best] < threshold:
                block[node] = best
                continue
        block[node] = len(pivots)
        pivots.append(node)
    return block


def block_approximation(first: Floats, second: Floats, count: int, threshold: float, order: Ints) -> Floats:
    """Return the block means float64[n, n], in the order of the aligned nodes.

    first, second: sums of the aligned matrices of the first floor(count / 2) graphs (at least one) and of the rest; for one
    graph both are the graph itself. order: int64[n], the order in which nodes are looked at.
    """
    size, half = len(first), max(count // 2, 0)
    weight = 1.0 / ((half + 1) * (size - half)) if size > half else 1.0
    block = pivot_blocks(node_distances(first, second, weight), threshold, order)
    total = first if count == 1 else first + second
    member = np.zeros((size, int(block.max()) + 1))
    member[np.arange(size), block] = 1
    lengths = member.sum(axis=0)
    means = member.T @ total @ member / (np.outer(lengths, lengths) * count)
    return np.asarray(means[np.ix_(block, block)], np.float64)
