"""Nodes in descending order of degree, and streaming means of the aligned matrices: one N x N at most (section 4.1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Floats, Graphs, Ints
from omnitrain_w2pgnn.graphs.walks import keep

# Arcs added up in one go; bounds the memory beside the result.
ARCS = 1 << 22


def half_sums(graphs: Graphs) -> Floats:
    """Return (row sum + column sum) / 2 of each node's row of the adjacency matrix, float64[nodes]."""
    incoming = np.bincount(graphs.indices, graphs.weights, minlength=graphs.nodes)
    return (graphs.strengths() + incoming) / 2


def node_probabilities(graphs: Graphs, empty: str = "uniform") -> Floats:
    """Return each node's share of its graph's half sums, float64[nodes], in the graphs' own order.

    empty: graphs without edges get "uniform" shares, or "nan" as in the official code.
    """
    sums = half_sums(graphs)
    owner = graphs.graph_of_node()
    totals = np.bincount(owner, sums, minlength=len(graphs))[owner]
    other = 1.0 / graphs.sizes[owner] if empty == "uniform" else np.full(len(sums), np.nan)
    return np.where(totals > 0, np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0), other)


def degree_ranks(graphs: Graphs) -> Ints:
    """Return each node's place, int64[nodes], when its graph's nodes stand in descending order of degree.

    Stable ascending order, then reversed: among equals the later node comes first, on every machine.
    """
    owner = graphs.graph_of_node()
    order = np.lexsort((half_sums(graphs), owner))
    ranks = np.empty(graphs.nodes, np.int64)
    ranks[order] = graphs.offsets[owner + 1] - 1 - np.arange(graphs.nodes)
    return ranks


def ranks_of_orders(graphs: Graphs, orders: list[list[int]]) -> Ints:
    """Return the places of nodes whose order is given, graph by graph: order[k] is the node in place k."""
    ranks = np.empty(graphs.nodes, np.int64)
    for first, order in zip(graphs.offsets[:-1], orders, strict=True):
        ranks[first + np.asarray(order)] = np.arange(len(order))
    return ranks


def aligned(graphs: Graphs, ranks: Ints) -> tuple[list[Floats], list[Floats]]:
    """Return the aligned dense matrices and node probabilities, graph by graph, unpadded."""
    probabilities = node_probabilities(graphs, empty="nan")
    matrices, sorted_probabilities = [], []
    for graph in range(len(graphs)):
        own = slice(int(graphs.offsets[graph]), int(graphs.offsets[graph + 1]))
        order = np.argsort(ranks[own])
        matrices.append(graphs.adjacency(graph)[np.ix_(order, order)])
        sorted_probabilities.append(probabilities[own][order])
    return matrices, sorted_probabilities


def block_sums(graphs: Graphs, ranks: Ints, width: int, blocks: int, shares: Floats | None = None) -> Floats:
    """Return float64[blocks, blocks]: entries of all aligned matrices added up in windows of width x width.

    Places beyond blocks * width are dropped. shares: float64[graphs], a factor for each graph. Arcs are added up piece by
    piece: no aligned matrix is ever made.
    """
    total = np.zeros(blocks * blocks)
    bins = ranks // width
    degrees = graphs.degrees
    edges = np.concatenate([[0], np.cumsum(degrees)])
    steps = np.searchsorted(edges, np.arange(ARCS, edges[-1] + ARCS, ARCS), side="right") - 1
    owner = graphs.graph_of_node() if shares is not None else None
    begin = 0
    for stop in [*np.maximum(steps, 1).tolist(), graphs.nodes]:
        end = max(int(stop), begin)
        if end == begin:
            continue
        rows = np.repeat(bins[begin:end], degrees[begin:end])
        arcs = slice(int(edges[begin]), int(edges[end]))
        columns = bins[graphs.indices[arcs]]
        values = None if graphs.weights is None else graphs.weights[arcs]
        if owner is not None and shares is not None:
            factors = np.repeat(shares[owner[begin:end]], degrees[begin:end])
            values = factors if values is None else values * factors
        inside = (rows < blocks) & (columns < blocks)
        if not bool(inside.all()):
            rows, columns = rows[inside], columns[inside]
            values = values[inside] if values is not None else None
        total += np.bincount(rows * blocks + columns, values, minlength=len(total))
        begin = end
    return total.reshape(blocks, blocks)


def aligned_mean(graphs: Graphs, ranks: Ints, size: int) -> Floats:
    """Return the mean of the aligned matrices, zero-padded to size x size (places beyond it are cut off)."""
    return block_sums(graphs, ranks, 1, size) / max(len(graphs), 1)


def truncate(graphs: Graphs, ranks: Ints, size: int) -> tuple[Graphs, Ints]:
    """Keep the `size` nodes of highest degree of each graph; places of the kept nodes stay as they are.

    Without a bound one huge graph decides the padded size of all, and sparse collections look empty.
    """
    if len(graphs) == 0 or int(graphs.sizes.max()) <= size:
        return graphs, ranks
    kept = ranks < size
    found = keep(replace(graphs, roots=None), kept)
    return found, ranks[kept]
