"""Subgraphs of random walks with restart, all walks of a batch at once (GCC's sampler)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Floats, Graphs, Ints, expand


def walk_visits(degrees: Ints, restart: float, least: int, power: float, most: int | None) -> Ints:
    """Return how many nodes the walk around each seed visits: max(least, int(degree^power e / (e - 1) / restart + 0.5))."""
    grown = (degrees.astype(np.float64) ** power * math.e / (math.e - 1) / restart + 0.5).astype(np.int64)
    visits = np.maximum(least, grown)
    return visits if most is None else np.minimum(visits, most)


def walk_subgraphs(graphs: Graphs, seeds: Ints, visits: Ints, restart: float, generator: np.random.Generator) -> Graphs:
    """Return the subgraphs induced by the nodes that a random walk with restart visits around each seed, the seed included.

    seeds, visits: int64[walks]. After each step the walk goes back to its seed with probability `restart`. The stretches
    between two restarts are independent, so all stretches of all walks move in the same few array steps.
    """
    walk, length = _stretches(visits, restart, generator)
    current = seeds[walk]
    degrees = graphs.degrees
    nodes = graphs.nodes
    keys = [np.arange(len(seeds)) * nodes + seeds]
    step = 1
    while len(walk):
        fan = degrees[current]
        moves = fan > 0
        chosen = graphs.indptr[current] + (generator.random(len(current)) * fan).astype(np.int64)
        current = np.where(moves, graphs.indices[np.where(moves, chosen, 0)] if len(graphs.indices) else current, current)
        keys.append(walk * nodes + current)
        going = length > step
        walk, length, current = walk[going], length[going], current[going]
        step += 1
    return induced(graphs, np.unique(np.concatenate(keys)), seeds)


def _stretches(visits: Ints, restart: float, generator: np.random.Generator) -> tuple[Ints, Ints]:
    """Return the walk and the steps of each stretch; the steps of a walk's stretches add up to its visits."""
    total = int(visits.sum())
    walk = np.repeat(np.arange(len(visits)), visits)
    length = generator.geometric(restart, total)
    before = np.cumsum(length) - length
    ends = np.cumsum(visits)
    before -= np.repeat(before[ends - visits], visits)
    room = visits[walk] - before
    kept = room > 0
    return walk[kept], np.minimum(length, room)[kept]


def induced(graphs: Graphs, keys: Ints, seeds: Ints) -> Graphs:
    """Return subgraphs on sets of nodes. keys: ascending numbers set * nodes + node. seeds: int64[sets], in their sets."""
    nodes = graphs.nodes
    owner, original = np.divmod(keys, nodes)
    counts = graphs.degrees[original]
    arcs = expand(graphs.indptr[original], counts)
    wanted = np.repeat(keys - original, counts) + graphs.indices[arcs]
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    inside = keys[places] == wanted
    running = np.concatenate([[0], np.cumsum(inside)])
    ends = np.cumsum(counts)
    sizes = np.bincount(owner, minlength=len(seeds))
    return Graphs(
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.concatenate([[0], np.cumsum(running[ends] - running[ends - counts])]).astype(np.int64),
        places[inside],
        None if graphs.weights is None else graphs.weights[arcs[inside]],
        attributes=None if graphs.attributes is None else graphs.attributes[original],
        roots=np.searchsorted(keys, np.arange(len(seeds)) * nodes + seeds),
    )


def keep(graphs: Graphs, kept: np.ndarray, arcs: np.ndarray | None = None) -> Graphs:
    """Return the graphs without some nodes, and without their arcs. kept: bool[nodes]; arcs: bool[arcs] that may stay."""
    inside = np.repeat(kept, graphs.degrees) & kept[graphs.indices]
    if arcs is not None:
        inside &= arcs
    number = np.cumsum(kept) - 1
    owner = graphs.graph_of_node()
    sizes = np.bincount(owner[kept], minlength=len(graphs))
    out = np.bincount(number[graphs.sources()[inside]], minlength=int(sizes.sum()))
    return replace(
        graphs,
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        indptr=np.concatenate([[0], np.cumsum(out)]).astype(np.int64),
        indices=number[graphs.indices[inside]],
        weights=None if graphs.weights is None else graphs.weights[inside],
        labels=graphs.labels[kept] if graphs.labels is not None and graphs.node_labels else graphs.labels,
        attributes=None if graphs.attributes is None else graphs.attributes[kept],
        roots=None if graphs.roots is None else number[graphs.roots],
    )


def laplacian_positions(graphs: Graphs, width: int) -> Floats:
    """Return float64[nodes, width]: the leading eigenvectors of D^-1/2 A D^-1/2, largest eigenvalue first.

    As in GCC there are min(n - 2, width) of them, none for n <= 2; rows are L2-normalised and filled up with zeros. Signs are
    as the solver gives them. Graphs of like size are solved as one batch.
    """
    positions = np.zeros((graphs.nodes, width))
    sizes = graphs.sizes
    if width == 0 or graphs.nodes == 0:
        return positions
    rooms = np.where(sizes <= 2, 0, -(-sizes // 4) * 4)
    scale = 1 / np.sqrt(np.maximum(graphs.degrees, 1))
    owner, sources = graphs.graph_of_node(), graphs.sources()
    local = np.arange(graphs.nodes) - graphs.offsets[owner]
    values = scale[sources] * scale[graphs.indices]
    arc_room = rooms[owner[sources]]
    for room in np.unique(rooms[rooms > 0]).tolist():
        members = np.flatnonzero(rooms == room)
        place = np.zeros(len(graphs), np.int64)
        place[members] = np.arange(len(members))
        chosen = arc_room == room
        matrix = np.zeros((len(members), room, room))
        a, b = sources[chosen], graphs.indices[chosen]
        matrix[place[owner[a]], local[a], local[b]] = values[chosen]
        # Rows that only fill up get an eigenvalue below all others, which lie in [-1, 1].
        fill = np.arange(room)[None, :] >= sizes[members][:, None]
        row, column = np.nonzero(fill)
        matrix[row, column, column] = -2
        vectors = np.linalg.eigh(matrix)[1][:, :, ::-1]
        most = min(width, room)
        useful = np.arange(most)[None, None, :] < (sizes[members] - 2)[:, None, None]
        leading = np.where(useful, vectors[:, :, :most], 0)
        length = np.linalg.norm(leading, axis=2, keepdims=True)
        leading = np.divide(leading, length, out=np.zeros_like(leading), where=length > 1e-12)
        positions[np.flatnonzero(rooms[owner] == room), :most] = leading[~fill]
    return positions
