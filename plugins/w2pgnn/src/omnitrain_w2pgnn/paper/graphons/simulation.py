"""Thirteen synthetic graphons, graphs sampled from a graphon, and the likelihood of a graph under one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from omnitrain.errors import UsageError
from omnitrain_w2pgnn.graphs.structure import Floats, Graphs, from_edges
from omnitrain_w2pgnn.paper.graphons.resizing import resize_bilinear

Function = Callable[[Floats, Floats], Floats]

FUNCTIONS: dict[int, Function] = {
    0: lambda u, v: u * v,
    1: lambda u, v: np.exp(-(u**0.7 + v**0.7)),
    2: lambda u, v: (u**2 + v**2 + np.sqrt(u) + np.sqrt(v)) / 4,
    3: lambda u, v: (u + v) / 2,
    4: lambda u, v: 1 / (1 + np.exp(-2 * (u**2 + v**2))),
    5: lambda u, v: 1 / (1 + np.exp(-(np.maximum(u, v) ** 2 + np.minimum(u, v) ** 4))),
    6: lambda u, v: np.exp(-(np.maximum(u, v) ** 0.75)),
    7: lambda u, v: np.exp(-0.5 * (np.minimum(u, v) + np.sqrt(u) + np.sqrt(v))),
    8: lambda u, v: np.log(1 + 0.5 * np.maximum(u, v)),
    9: lambda u, v: np.abs(u - v),
    10: lambda u, v: 1 - np.abs(u - v),
}
ASCENDING = (1, 6, 7)
TWO_BLOCKS, TWO_SIDES = 11, 12
TYPES = 13
BLOCK_PROBABILITY = 0.8


def synthetic_graphon(kind: int, size: int) -> Floats:
    """Return graphon number 0 to 12 on a grid, float64[size, size] (Chan and Airoldi's list as the official code has it).

    The grid is (i + 1) / size for types 1, 6 and 7, and (size - i) / size, descending, for the others.
    Raises UsageError for another number, and for an odd size of types 11 and 12, which consist of two halves.
    """
    if kind in (TWO_BLOCKS, TWO_SIDES):
        if size % 2:
            raise UsageError(f"Graphon {kind} consists of two halves; size {size} is odd, choose an even one.")
        half = np.arange(size) < size // 2
        same = half[:, None] == half[None, :]
        return np.where(same if kind == TWO_BLOCKS else ~same, BLOCK_PROBABILITY, 0.0)
    if kind not in FUNCTIONS:
        raise UsageError(f"There is no synthetic graphon {kind}; expected 0 to {TYPES - 1}.")
    grid = (np.arange(size) + 1) / size if kind in ASCENDING else (size - np.arange(size)) / size
    return np.asarray(FUNCTIONS[kind](grid[:, None], grid[None, :]), np.float64)


def edge_matrix(graphon: Floats, node_draws: Floats, edge_draws: Floats) -> Floats:
    """Return 0/1 float64[n, n]: an arc where the graphon at the nodes' cells exceeds the edge's draw.

    node_draws: float64[n], edge_draws: float64[n, n], uniform on [0, 1).
    """
    cell = (len(graphon) * np.asarray(node_draws)).astype(np.int64)
    return (graphon[np.ix_(cell, cell)] - edge_draws > 0).astype(np.float64)


def sample_graphs(graphon: Floats, sizes: list[int], generator: np.random.Generator) -> Graphs:
    """Return simple graphs of the given sizes drawn from a graphon: u_i uniform, edge i < j with probability W(u_i, u_j)."""
    edges, base = [], 0
    for size in sizes:
        drawn = edge_matrix(graphon, generator.random(size), generator.random((size, size)))
        edges.append(np.argwhere(np.triu(drawn, 1)) + base)
        base += size
    return from_edges(sizes, np.concatenate([np.empty((0, 2), np.int64), *edges]))


def mixture(weights: Floats, bases: Floats) -> Floats:
    """Return sum_i weights_i bases_i. weights: float64[bases], bases: float64[bases, n, n] (section 4.2)."""
    return np.asarray(np.tensordot(weights, bases, axes=1), np.float64)


def log_likelihood(adjacency: Floats, graphon: Floats) -> float:
    """Return the mean log-probability of all entries of a graph in the given node order under a graphon."""
    values = np.clip(resize_bilinear(graphon, len(adjacency)), 1e-16, 1 - 1e-16)
    return float(np.mean(adjacency * np.log(values) + (1 - adjacency) * np.log(1 - values)))
