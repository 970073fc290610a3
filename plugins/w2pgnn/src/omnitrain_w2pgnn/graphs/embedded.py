"""Graphs that need no download: those that networkx carries, and families that are drawn with a fixed seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from omnitrain_w2pgnn.graphs.readers import degree_quartiles
from omnitrain_w2pgnn.graphs.structure import Graphs, from_edges

SEED = 20230612


def from_networkx(graph: Any, label: str | None = None) -> Graphs:
    """Return a networkx graph as a collection of one; directions, weights, loops and parallel edges are dropped.

    label: a node attribute whose values become labels, in their sorted order.
    """
    number = {node: i for i, node in enumerate(graph.nodes)}
    edges = [(number[a], number[b]) for a, b, *_ in graph.edges]
    if label is None:
        return from_edges([len(number)], edges)
    values = [graph.nodes[node].get(label) for node in graph.nodes]
    classes = {value: i for i, value in enumerate(sorted({v for v in values if v is not None}, key=str))}
    return from_edges([len(number)], edges, labels=np.array([classes.get(v, -1) for v in values]), node_labels=True)


def from_networkx_list(graphs: list[Any]) -> Graphs:
    """Return many networkx graphs as one collection."""
    sizes = [g.number_of_nodes() for g in graphs]
    bases = np.concatenate([[0], np.cumsum(sizes)])
    edges = []
    for base, graph in zip(bases, graphs, strict=False):
        number = {node: i for i, node in enumerate(graph.nodes)}
        edges += [(int(base) + number[a], int(base) + number[b]) for a, b, *_ in graph.edges]
    return from_edges(sizes, edges)


def _karate() -> Graphs:
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    return from_networkx(nx.karate_club_graph(), "club")


def _les_miserables() -> Graphs:
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    return from_networkx(nx.les_miserables_graph())


def _davis() -> Graphs:
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    return from_networkx(nx.davis_southern_women_graph(), "bipartite")


def _florentine() -> Graphs:
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    return from_networkx(nx.florentine_families_graph())


def _atlas() -> Graphs:
    """All connected graphs of 5 to 7 nodes of the Atlas of Graphs."""
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    return from_networkx_list([g for g in nx.graph_atlas_g() if g.number_of_nodes() >= 5 and nx.is_connected(g)])


def _power_law() -> Graphs:
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    return from_networkx(nx.barabasi_albert_graph(400, 3, seed=SEED))


def _hubs() -> Graphs:
    """A dense core with a sparse rim, like a flight network."""
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    return from_networkx(nx.powerlaw_cluster_graph(400, 6, 0.6, seed=SEED))


def _communities() -> Graphs:
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    return from_networkx(nx.random_partition_graph([50] * 6, 0.25, 0.01, seed=SEED))


def _grid() -> Graphs:
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    return from_networkx(nx.grid_2d_graph(20, 20))


def _small_world() -> Graphs:
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    return from_networkx(nx.watts_strogatz_graph(400, 6, 0.1, seed=SEED))


def _barbell() -> Graphs:
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    return from_networkx(nx.barbell_graph(10, 10))


def _rings() -> Graphs:
    """Rings and stars, two classes: the smallest labelled set of whole graphs."""
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    kinds = [nx.cycle_graph(n) if n % 2 else nx.star_graph(n - 1) for n in range(6, 46)]
    graphs = from_networkx_list(kinds)
    labels = np.array([n % 2 for n in range(6, 46)], np.int64)
    return Graphs(graphs.offsets, graphs.indptr, graphs.indices, labels=labels)


EMBEDDED: dict[str, Callable[[], Graphs]] = {
    "karate": _karate,
    "les-miserables": _les_miserables,
    "davis": _davis,
    "florentine": _florentine,
    "atlas": _atlas,
    "power-law": _power_law,
    "hubs": _hubs,
    "communities": _communities,
    "grid": _grid,
    "small-world": _small_world,
    "barbell": _barbell,
    "rings-and-stars": _rings,
}


def with_degree_labels(graphs: Graphs) -> Graphs:
    """Return the graphs with each node's degree quartile as its label, like the activity classes of the airports."""
    from dataclasses import replace

    return replace(graphs, labels=degree_quartiles(graphs), node_labels=True)
