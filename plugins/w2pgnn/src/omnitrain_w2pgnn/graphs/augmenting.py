"""Augmentations of GraphCL, and the hidden nodes and edges of attribute and edge masking, for many graphs at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Graphs, Ints, from_edges
from omnitrain_w2pgnn.graphs.walks import keep, walk_subgraphs


def _spared(graphs: Graphs) -> Ints:
    """Return one node of each graph with nodes that is never taken away: its root, else its first."""
    return graphs.roots if graphs.roots is not None else graphs.offsets[:-1][graphs.sizes > 0]


def _upper(graphs: Graphs) -> np.ndarray:
    """Return bool[arcs]: one of the two arcs of each edge."""
    return graphs.sources() < graphs.indices


def _dropped_edges(graphs: Graphs, chance: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return bool[arcs] of edges that are dropped with the chance of their graph, both arcs alike. chance: float64[graphs]."""
    sources = graphs.sources()
    low, high = np.minimum(sources, graphs.indices), np.maximum(sources, graphs.indices)
    keys, inverse = np.unique(low * graphs.nodes + high, return_inverse=True)
    return (generator.random(len(keys))[inverse]) < chance[graphs.graph_of_node()[sources]]


def augment(graphs: Graphs, kinds: Sequence[str], share: float, generator: np.random.Generator) -> tuple[Graphs, np.ndarray]:
    """Return one augmentation of each graph, of a kind drawn for it, and bool[nodes] whose features are hidden.

    nodes: a share of the nodes is dropped. edges: a share is dropped and as many pairs are joined. attributes: a share of
    the nodes hides its features. subgraph: what a random walk of (1 - share) * n visits from a random node reaches.
    """
    kind = np.asarray([kinds[i] for i in generator.integers(0, len(kinds), len(graphs))])
    owner = graphs.graph_of_node()
    spared = np.zeros(graphs.nodes, bool)
    spared[_spared(graphs)] = True
    kept = spared | ~((kind == "nodes")[owner] & (generator.random(graphs.nodes) < share))
    kept &= _walked(graphs, kind == "subgraph", share, generator) | spared
    found = graphs
    changed = kind == "edges"
    if bool(changed.any()) and len(graphs.indices):
        found = _rewired(graphs, np.where(changed, share, 0.0), generator)
    hidden = (kind == "attributes")[owner] & (generator.random(graphs.nodes) < share)
    return keep(found, kept), hidden[kept]


def _walked(graphs: Graphs, chosen: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Return bool[nodes]: all nodes of graphs that are not chosen, and what a walk reaches in those that are."""
    kept = np.repeat(~chosen, graphs.sizes)
    members = np.flatnonzero(chosen & (graphs.sizes > 0))
    if len(members):
        sizes = graphs.sizes[members]
        seeds = graphs.offsets[members] + (generator.random(len(members)) * sizes).astype(np.int64)
        numbered = replace(graphs, attributes=np.arange(graphs.nodes))
        visits = np.maximum(1, ((1 - share) * sizes).astype(np.int64))
        reached = walk_subgraphs(numbered, seeds, visits, 0.1, generator).attributes
        assert reached is not None
        kept[reached] = True
    return kept


def _rewired(graphs: Graphs, chance: np.ndarray, generator: np.random.Generator) -> Graphs:
    dropped = _dropped_edges(graphs, chance, generator)
    left = ~dropped & _upper(graphs)
    owner = graphs.graph_of_node()[graphs.sources()[dropped & _upper(graphs)]]
    ends = [graphs.offsets[owner] + (generator.random(len(owner)) * graphs.sizes[owner]).astype(np.int64) for _ in range(2)]
    edges = np.concatenate([np.stack([graphs.sources()[left], graphs.indices[left]], axis=1), np.stack(ends, axis=1)])
    made = from_edges(graphs.sizes, edges)
    return replace(graphs, indptr=made.indptr, indices=made.indices, weights=None)


@dataclass(frozen=True)
class Hidden:
    """graphs: without the hidden edges. hidden: bool[nodes]. classes: int64[nodes]. pairs: int64[2, pairs] of nodes, hidden
    edges and as many pairs that are none. is_edge: bool[pairs]."""

    graphs: Graphs
    hidden: np.ndarray
    classes: Ints
    pairs: Ints
    is_edge: np.ndarray


def hide(graphs: Graphs, node_share: float, edge_share: float, classes: int, generator: np.random.Generator) -> Hidden:
    """Hide nodes' features and edges.

    The class of a node is its attribute where there are attributes, else log2(degree + 1), both cut off at `classes` - 1.
    """
    kind = graphs.attributes if graphs.attributes is not None else np.log2(graphs.degrees + 1).astype(np.int64)
    hidden = generator.random(graphs.nodes) < node_share
    dropped = _dropped_edges(graphs, np.full(len(graphs), edge_share), generator)
    upper = dropped & _upper(graphs)
    edges = np.stack([graphs.sources()[upper], graphs.indices[upper]])
    owner = graphs.graph_of_node()[edges[0]]
    others = [graphs.offsets[owner] + (generator.random(len(owner)) * graphs.sizes[owner]).astype(np.int64) for _ in range(2)]
    pairs = np.stack(others)
    known = graphs.sources() * graphs.nodes + graphs.indices
    wanted = pairs[0] * graphs.nodes + pairs[1]
    place = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    joined = known[place] == wanted if len(known) else np.zeros(len(wanted), bool)
    pairs = pairs[:, ~joined & (pairs[0] != pairs[1])]
    both = np.concatenate([edges, pairs], axis=1)
    told = np.arange(both.shape[1]) < edges.shape[1]
    left = keep(graphs, np.ones(graphs.nodes, bool), ~dropped)
    return Hidden(left, hidden, np.minimum(np.maximum(kind, 0), classes - 1), both, told)
