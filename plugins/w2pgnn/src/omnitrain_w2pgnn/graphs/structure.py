"""Many simple undirected graphs in one sparse structure, and how edge lists become it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from omnitrain.errors import DataError

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Graphs:
    """Graphs side by side: graph g owns the nodes offsets[g] to offsets[g + 1], isolated ones included.

    offsets: int64[graphs + 1]. indptr: int64[nodes + 1], indices: int64[arcs], every edge as two arcs between global node
    numbers, sorted in each row. weights: float64[arcs] of the arcs, None where all are 1. labels: int64[graphs], or
    int64[nodes] where `node_labels`; -1 where unknown. attributes: int64[nodes] node types, such as atomic numbers.
    roots: int64[graphs] global numbers of the nodes that the graphs were cut out around. groups: int64[graphs], the domain
    of each graph, and names of the domains.
    """

    offsets: Ints
    indptr: Ints
    indices: Ints
    weights: Floats | None = None
    labels: Ints | None = None
    node_labels: bool = False
    attributes: Ints | None = None
    roots: Ints | None = None
    groups: Ints | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def nodes(self) -> int:
        """Nodes of all graphs."""
        return int(self.offsets[-1])

    @property
    def sizes(self) -> Ints:
        """Nodes of each graph, int64[graphs]."""
        return np.diff(self.offsets)

    @property
    def degrees(self) -> Ints:
        """Neighbours of each node, int64[nodes]."""
        return np.diff(self.indptr)

    def sources(self) -> Ints:
        """The node that each arc leaves, int64[arcs]."""
        return np.repeat(np.arange(self.nodes), self.degrees)

    def graph_of_node(self) -> Ints:
        """The graph of each node, int64[nodes]."""
        return np.repeat(np.arange(len(self)), self.sizes)

    def strengths(self) -> Floats:
        """Sum of the weights of each node's arcs, float64[nodes]."""
        if self.weights is None:
            return self.degrees.astype(np.float64)
        return np.bincount(self.sources(), self.weights, minlength=self.nodes).astype(np.float64)

    def densities(self) -> Floats:
        """Edges over pairs of different nodes, float64[graphs]; 0 for graphs of less than two nodes."""
        n = self.sizes.astype(np.float64)
        arcs = self.indptr[self.offsets[1:]] - self.indptr[self.offsets[:-1]]
        return np.asarray(np.divide(arcs, n * (n - 1), out=np.zeros(len(self)), where=n > 1), np.float64)

    def adjacency(self, graph: int) -> Floats:
        """The dense matrix of one graph, float64[n, n]."""
        first, last = int(self.offsets[graph]), int(self.offsets[graph + 1])
        a, b = int(self.indptr[first]), int(self.indptr[last])
        rows = np.repeat(np.arange(last - first), self.degrees[first:last])
        dense = np.zeros((last - first, last - first))
        dense[rows, self.indices[a:b] - first] = 1.0 if self.weights is None else self.weights[a:b]
        return dense

    def take(self, chosen: Sequence[int] | Ints) -> Graphs:
        """Return some of the graphs, in that order; one that is named twice is there twice."""
        chosen = np.asarray(chosen, np.int64)
        sizes = self.sizes[chosen]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        shift = offsets[:-1] - self.offsets[chosen]
        nodes = expand(self.offsets[chosen], sizes)
        degrees = self.degrees[nodes]
        arcs = expand(self.indptr[nodes], degrees)
        indptr = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int64)
        labels = self.labels
        if labels is not None:
            labels = labels[nodes] if self.node_labels else labels[chosen]
        return replace(
            self,
            offsets=offsets,
            indptr=indptr,
            indices=self.indices[arcs] + np.repeat(np.repeat(shift, sizes), degrees),
            weights=None if self.weights is None else self.weights[arcs],
            labels=labels,
            attributes=None if self.attributes is None else self.attributes[nodes],
            roots=None if self.roots is None else self.roots[chosen] + shift,
            groups=None if self.groups is None else self.groups[chosen],
        )

    def digest(self) -> str:
        """Return 32 hexadecimal digits of all content."""
        found = hashlib.sha256(repr((self.node_labels, self.names)).encode())
        arrays = (self.offsets, self.indptr, self.indices, self.weights, self.labels, self.attributes, self.roots, self.groups)
        for array in arrays:
            found.update(b"-" if array is None else np.ascontiguousarray(array).tobytes() + str(array.dtype).encode())
        return found.hexdigest()[:32]


def expand(starts: Ints, counts: Ints) -> Ints:
    """Return starts[0], starts[0] + 1, ... (counts[0] numbers), then those of the next start, as one int64 array."""
    total = int(counts.sum())
    if total == 0:
        return np.empty(0, np.int64)
    ends = np.cumsum(counts)
    return np.repeat(starts - (ends - counts), counts) + np.arange(total)


def from_edges(
    sizes: Sequence[int] | Ints,
    edges: Any,
    weights: Floats | None = None,
    duplicates: str = "once",
    loops: bool = False,
    **more: Any,
) -> Graphs:
    """Make undirected graphs of edges between global node numbers.

    sizes: nodes of each graph. edges: int64[edges, 2], each direction alone or both. weights: float64[edges]; the weights of
    parallel edges are added up. duplicates: "once" makes a repeated edge one of weight 1 (or of its largest weight), "count"
    adds every listing, as the official code does, in which an edge listed in both directions weighs 2. loops: keep them.
    """
    offsets = np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))]).astype(np.int64)
    nodes = int(offsets[-1])
    pairs = np.asarray(edges, np.int64).reshape(-1, 2)
    values = np.ones(len(pairs)) if weights is None else np.asarray(weights, np.float64)
    _within(offsets, pairs)
    if not loops:
        kept = pairs[:, 0] != pairs[:, 1]
        pairs, values = pairs[kept], values[kept]
    keys = np.concatenate([pairs[:, 0] * nodes + pairs[:, 1], pairs[:, 1] * nodes + pairs[:, 0]])
    both = np.concatenate([values, values])
    order = np.argsort(keys, kind="stable")
    keys, both = keys[order], both[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1)) if len(keys) else np.empty(0, np.int64)
    merged: Floats | None = None
    if duplicates == "count":
        merged = np.add.reduceat(both, first) if len(first) else np.empty(0)
    elif weights is not None:
        merged = np.maximum.reduceat(both, first) if len(first) else np.empty(0)
    keys = keys[first]
    indptr = np.searchsorted(keys, np.arange(nodes + 1) * nodes)
    return Graphs(offsets, indptr.astype(np.int64), keys % max(nodes, 1), merged, **more)


def _within(offsets: Ints, pairs: Ints) -> None:
    """Refuse edges that name no node, or that join two graphs: their nodes were numbered in another way."""
    if not len(pairs):
        return
    if int(pairs.min()) < 0 or int(pairs.max()) >= int(offsets[-1]):
        row = int(np.flatnonzero(((pairs < 0) | (pairs >= offsets[-1])).any(axis=1))[0])
        a, b = pairs[row].tolist()
        raise DataError(f"Edge {row}, of the nodes {a} and {b}, names a node outside of 0 to {int(offsets[-1]) - 1}.")
    if len(offsets) > 2:
        graphs = np.searchsorted(offsets, pairs, side="right")
        across = np.flatnonzero(graphs[:, 0] != graphs[:, 1])
        if len(across):
            (a, b), (first, second) = pairs[across[0]].tolist(), (graphs[across[0]] - 1).tolist()
            raise DataError(f"Edge {int(across[0])}, of the nodes {a} and {b}, joins graph {first} and graph {second}.")


def join(parts: Sequence[Graphs], names: Sequence[str] = ()) -> Graphs:
    """Put collections behind one another. names: of the domains; each part becomes one domain.

    Labels, attributes, roots and weights are kept where every part has them.
    """
    bases = np.concatenate([[0], np.cumsum([p.nodes for p in parts])])
    arcs = np.concatenate([[0], np.cumsum([len(p.indices) for p in parts])])

    def all_of(name: str, shifted: bool = False) -> Any:
        values = [getattr(p, name) for p in parts]
        if any(v is None for v in values):
            return None
        return np.concatenate([v + b if shifted else v for v, b in zip(values, bases[:-1], strict=True)])

    weights = None
    if any(p.weights is not None for p in parts):
        weights = np.concatenate([np.ones(len(p.indices)) if p.weights is None else p.weights for p in parts])
    same_labels = len({p.node_labels for p in parts}) == 1
    offsets = np.concatenate([[0], *(p.offsets[1:] + b for p, b in zip(parts, bases[:-1], strict=True))])
    indptr = np.concatenate([[0], *(p.indptr[1:] + a for p, a in zip(parts, arcs[:-1], strict=True))])
    indices = np.concatenate([p.indices + b for p, b in zip(parts, bases[:-1], strict=True)])
    groups = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    return Graphs(
        offsets.astype(np.int64),
        indptr.astype(np.int64),
        indices.astype(np.int64),
        weights,
        all_of("labels") if same_labels else None,
        parts[0].node_labels if same_labels else False,
        all_of("attributes"),
        all_of("roots", shifted=True),
        groups,
        tuple(names) or tuple(str(i) for i in range(len(parts))),
    )


def from_dense(matrices: Sequence[Any]) -> Graphs:
    """Make a collection of dense matrices, directed and weighted as they are, for callers that hold no edges."""
    arrays = [np.asarray(m, np.float64) for m in matrices]
    offsets = np.concatenate([[0], np.cumsum([len(a) for a in arrays])]).astype(np.int64)
    places = [np.nonzero(a) for a in arrays]
    degrees = np.concatenate([np.bincount(rows, minlength=len(a)) for (rows, _), a in zip(places, arrays, strict=True)])
    indices = np.concatenate([columns + base for (_, columns), base in zip(places, offsets[:-1], strict=True)])
    weights = np.concatenate([a[place] for a, place in zip(arrays, places, strict=True)])
    indptr = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int64)
    return Graphs(offsets, indptr, indices.astype(np.int64), weights)
