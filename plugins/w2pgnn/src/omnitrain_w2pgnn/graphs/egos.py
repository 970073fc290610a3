"""Ego networks of many seeds at once: breadth-first search over sparse rows, all seeds in one array (section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Graphs, Ints, expand

# Places of the marks (seed, node), 5 bytes each, and neighbours gathered in one go, 8 bytes each: bounds the memory.
MARKS = 1 << 24
ARCS = 1 << 23


@dataclass(frozen=True)
class _Part:
    """Ego networks of one block of seeds. nodes: original numbers; sizes: of each ego; degrees: inside the egos; arcs: places
    in `indices` of the arcs that stay; targets: the new numbers that these lead to, within the block."""

    nodes: Ints
    sizes: Ints
    degrees: Ints
    arcs: Ints
    targets: Ints
    roots: Ints


def ego_networks(graphs: Graphs, seeds: Ints, hops: int = 2, max_nodes: int | None = None) -> Graphs:
    """Return the induced subgraphs on all nodes within `hops` steps of each seed, nodes in ascending order.

    seeds: int64[egos] global node numbers. Isolated seeds give graphs of one node. max_nodes: egos with more are left out.
    `roots` of the result are the seeds; `labels` are the seeds' labels where the nodes have them.
    """
    seeds = np.asarray(seeds, np.int64)
    block = max(1, MARKS // max(graphs.nodes, 1))
    degrees = graphs.degrees
    parts: list[_Part] = []
    for begin in range(0, len(seeds), block):
        _extract(graphs, degrees, seeds[begin : begin + block], hops, max_nodes, parts)
    return _assemble(graphs, seeds, parts)


def _extract(graphs: Graphs, degrees: Ints, seeds: Ints, hops: int, cap: int | None, parts: list[_Part]) -> None:
    """Append the ego networks of a block of seeds; the block is halved where it grows too big."""
    nodes, count = graphs.nodes, len(seeds)
    marks = np.zeros(count * nodes, bool)
    number = np.empty(count * nodes, np.int32)
    base, rows = np.arange(count) * nodes, seeds
    marks[base + rows] = True
    for hop in range(hops):
        counts = degrees[rows]
        if int(counts.sum()) > ARCS and count > 1:
            return _halves(graphs, degrees, seeds, hops, cap, parts)
        neighbours = graphs.indices.take(expand(graphs.indptr[rows], counts))
        bases = np.repeat(base, counts)
        reached = bases + neighbours
        if hop + 1 < hops:
            new = ~marks[reached]
            reached, bases, neighbours = reached[new], bases[new], neighbours[new]
            # Each place keeps the last of those who wrote to it: one of several equal ones goes on.
            number[reached] = np.arange(len(reached), dtype=np.int32)
            once = number[reached] == np.arange(len(reached), dtype=np.int32)
            base, rows = bases[once], neighbours[once]
        marks[reached] = True
    keys = np.flatnonzero(marks)
    sizes = np.diff(np.searchsorted(keys, np.arange(count + 1) * nodes))
    if cap is not None and int(sizes.max(initial=0)) > cap:
        kept = np.repeat(sizes <= cap, sizes)
        marks[keys[~kept]] = False
        keys, sizes = keys[kept], np.where(sizes > cap, 0, sizes)
    base = np.repeat(np.arange(count) * nodes, sizes)
    original = keys - base
    counts = degrees[original]
    if int(counts.sum()) > ARCS and count > 1:
        return _halves(graphs, degrees, seeds, hops, cap, parts)
    arcs = expand(graphs.indptr[original], counts)
    # `take` is twice as fast as brackets, and this is where the time goes.
    places = graphs.indices.take(arcs)
    places += np.repeat(base, counts)
    inside = np.flatnonzero(marks.take(places))
    ends = np.cumsum(counts)
    before = np.searchsorted(inside, np.concatenate([[0], ends]))
    number[keys] = np.arange(len(keys), dtype=np.int32)
    held = sizes > 0
    roots = number[np.flatnonzero(held) * nodes + seeds[held]]
    parts.append(
        _Part(original, sizes, np.diff(before), arcs.take(inside), number.take(places.take(inside)).astype(np.int64), roots)
    )
    return None


def _halves(graphs: Graphs, degrees: Ints, seeds: Ints, hops: int, cap: int | None, parts: list[_Part]) -> None:
    middle = len(seeds) // 2
    _extract(graphs, degrees, seeds[:middle], hops, cap, parts)
    _extract(graphs, degrees, seeds[middle:], hops, cap, parts)


def _assemble(graphs: Graphs, seeds: Ints, parts: list[_Part]) -> Graphs:
    empty = np.empty(0, np.int64)
    shift = np.concatenate([[0], np.cumsum([len(p.nodes) for p in parts])]).astype(np.int64)
    original = np.concatenate([empty, *(p.nodes for p in parts)])
    sizes = np.concatenate([empty, *(p.sizes for p in parts)])
    degrees = np.concatenate([empty, *(p.degrees for p in parts)])
    kept = sizes > 0
    seeds = seeds[kept]
    return Graphs(
        np.concatenate([[0], np.cumsum(sizes[kept])]).astype(np.int64),
        np.concatenate([[0], np.cumsum(degrees)]).astype(np.int64),
        np.concatenate([empty, *(p.targets + s for p, s in zip(parts, shift[:-1], strict=True))]),
        None if graphs.weights is None else graphs.weights[np.concatenate([empty, *(p.arcs for p in parts)])],
        graphs.labels[seeds] if graphs.labels is not None and graphs.node_labels else None,
        False,
        None if graphs.attributes is None else graphs.attributes[original],
        np.concatenate([empty, *(p.roots + s for p, s in zip(parts, shift[:-1], strict=True))]),
        None if graphs.groups is None else graphs.groups[graphs.graph_of_node()[seeds]],
        graphs.names,
    )


def sample_seeds(
    graphs: Graphs, fraction: float | None, minimum: int, maximum: int | None, generator: np.random.Generator
) -> Ints:
    """Return seed nodes, uniform without replacement and ascending: max(minimum, floor(fraction * nodes)), at most all.

    fraction: None takes every node, as the official code does for downstream data. maximum: bound on their number.
    """
    count = graphs.nodes if fraction is None else max(minimum, int(fraction * graphs.nodes))
    count = min(count, graphs.nodes, maximum if maximum is not None else graphs.nodes)
    if count == graphs.nodes:
        return np.arange(graphs.nodes)
    return np.sort(generator.choice(graphs.nodes, count, replace=False))
