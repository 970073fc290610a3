"""Eight topological features of each graph, for all graphs of a collection at once (section 4.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array  # type: ignore[import-untyped, unused-ignore]
from scipy.sparse.csgraph import shortest_path  # type: ignore[import-untyped, unused-ignore]

from omnitrain_w2pgnn.graphs.structure import Floats, Graphs, Ints

FEATURES = (
    "mean degree",
    "standard deviation of degrees",
    "density",
    "mean closeness",
    "degree correlation",
    "degree assortativity",
    "transitivity",
    "mean clustering",
)
# Nodes whose distances are computed in one matrix: bounds the memory at 8 MiB, unless one graph is larger.
CHUNK = 1024


def topology_features(graphs: Graphs) -> Floats:
    """Return float64[graphs, 8] in the order of FEATURES, as networkx defines them, on the 0/1 graphs.

    The two correlations are NaN where all edges join equal degrees, and for graphs without edges.
    """
    count, owner = len(graphs), graphs.graph_of_node()
    n = graphs.sizes.astype(np.float64)
    degrees = graphs.degrees.astype(np.float64)
    safe = np.maximum(n, 1)
    mean = np.bincount(owner, degrees, minlength=count) / safe
    spread = np.sqrt(np.bincount(owner, (degrees - mean[owner]) ** 2, minlength=count) / safe)
    closeness = np.bincount(owner, _closeness(graphs), minlength=count) / safe
    correlation = _degree_correlation(graphs, degrees)
    triangles = _triangles(graphs)
    pairs = degrees * (degrees - 1) / 2
    triads = np.bincount(owner, pairs, minlength=count)
    closed = np.bincount(owner, triangles, minlength=count)
    transitivity = np.divide(closed, triads, out=np.zeros(count), where=triads > 0)
    local = np.divide(triangles, pairs, out=np.zeros(len(pairs)), where=pairs > 0)
    clustering = np.bincount(owner, local, minlength=count) / safe
    # Pearson correlation over edges and assortativity are the same number, computed in two ways by networkx.
    columns = (mean, spread, graphs.densities(), closeness, correlation, correlation, transitivity, clustering)
    return np.stack(columns, axis=1)


def _matrix(graphs: Graphs, first: int, last: int) -> Any:
    """The 0/1 adjacency of the graphs first to last - 1 as one sparse matrix."""
    a, b = int(graphs.offsets[first]), int(graphs.offsets[last])
    indptr = graphs.indptr[a : b + 1] - graphs.indptr[a]
    indices = graphs.indices[int(graphs.indptr[a]) : int(graphs.indptr[b])] - a
    return csr_array((np.ones(len(indices)), indices.astype(np.int32), indptr.astype(np.int32)), shape=(b - a, b - a))


def _chunks(graphs: Graphs) -> list[tuple[int, int]]:
    """Cut the collection into runs of graphs of at most CHUNK nodes together, single larger graphs excepted."""
    found, begin, size = [], 0, 0
    for graph, nodes in enumerate(graphs.sizes.tolist()):
        if size + nodes > CHUNK and graph > begin:
            found.append((begin, graph))
            begin, size = graph, 0
        size += nodes
    return [*found, (begin, len(graphs))] if len(graphs) > begin else found


def _closeness(graphs: Graphs) -> Floats:
    """Closeness of each node, scaled by the share of its graph that it reaches (Wasserman and Faust)."""
    parts = [np.empty(0)]
    for first, last in _chunks(graphs):
        matrix = _matrix(graphs, first, last)
        sizes = graphs.sizes[first:last]
        room = np.repeat(np.maximum(sizes - 1, 1), sizes)
        rows = matrix.shape[0]
        for begin in range(0, rows, CHUNK):
            chosen = np.arange(begin, min(begin + CHUNK, rows))
            distance = shortest_path(matrix, method="D", unweighted=True, indices=chosen)
            reached = np.isfinite(distance)
            total = np.where(reached, distance, 0).sum(axis=1)
            others = reached.sum(axis=1) - 1.0
            ratio = np.divide(others, total, out=np.zeros(len(chosen)), where=total > 0)
            parts.append(ratio * others / room[chosen])
    return np.asarray(np.concatenate(parts), np.float64)


def _triangles(graphs: Graphs) -> Floats:
    """Triangles through each node, float64[nodes]."""
    parts = [np.empty(0)]
    for first, last in _chunks(graphs):
        matrix = _matrix(graphs, first, last)
        parts.append(np.asarray((matrix @ matrix).multiply(matrix).sum(axis=1)).ravel() / 2)
    return np.asarray(np.concatenate(parts), np.float64)


def _degree_correlation(graphs: Graphs, degrees: Floats) -> Floats:
    """Pearson correlation of the degrees at both ends of all arcs, float64[graphs]."""
    count = len(graphs)
    arcs = graphs.graph_of_node()[graphs.indices]
    x, y = np.repeat(degrees, graphs.degrees), degrees[graphs.indices]
    number = np.bincount(arcs, minlength=count)
    mean: Floats = np.bincount(arcs, x, minlength=count) / np.maximum(number, 1)
    dx, dy = x - mean[arcs], y - mean[arcs]
    variance = np.bincount(arcs, dx * dx, minlength=count)
    together = np.bincount(arcs, dx * dy, minlength=count)
    scale = np.maximum(mean * mean * number, 1)
    varies = variance > 1e-12 * scale
    return np.asarray(np.divide(together, variance, out=np.full(count, np.nan), where=varies), np.float64)


def standardised(features: Floats) -> Floats:
    """Return the features with mean 0 and deviation 1 over the graphs; NaN and constant columns become 0."""
    filled = np.where(np.isfinite(features), features, np.nan)
    known = np.isfinite(filled)
    number = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, filled, 0).sum(axis=0) / number
    centred = np.where(known, filled - mean, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / number)
    varies = spread > 1e-12 * np.maximum(np.abs(mean), 1)
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=varies), np.float64)


def topology_clusters(graphs: Graphs, clusters: int, seed: int) -> Ints:
    """Return a cluster for each graph, int64[graphs], by k-means on the standardised features.

    There are as many clusters as different feature vectors, where these are fewer.
    """
    from sklearn.cluster import KMeans  # type: ignore[import-untyped, unused-ignore]

    features = standardised(topology_features(graphs))
    distinct = len(np.unique(np.round(features, 9), axis=0))
    found = KMeans(min(clusters, distinct), n_init=10, random_state=seed % 2**32).fit_predict(features)
    return np.asarray(found, np.int64)
