"""Graphon bases: three ways to split the pre-training graphs (section 4.2), and what tells collections apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.structure import Floats, Graphs, join
from omnitrain_w2pgnn.graphs.topology import topology_clusters
from omnitrain_w2pgnn.paper.graphons.estimate import Estimate, EstimatorSettings, estimate
from omnitrain_w2pgnn.paper.graphons.resizing import resize_average

FEWEST_NODES = 8
"""Graphs of fewer nodes are alike by coincidence: they do not count as shared."""


@dataclass(frozen=True)
class Bases:
    """names: of the bases. graphons: float64[bases, n, n]. estimates: as they came. counts: graphs of each."""

    names: tuple[str, ...]
    graphons: Floats
    estimates: tuple[Estimate, ...]
    counts: tuple[int, ...]


def split_graphs(collections: Mapping[str, Graphs], split: str, clusters: int, seed: int) -> dict[str, Graphs]:
    """Return the parts of the pre-training graphs that become bases.

    integr: all in one. domain: one for each collection, and for each of its groups where it has several (scaffolds of
    molecules). topo: clusters of topological features over all graphs; edgeless graphs keep their place.
    """
    if split == "integr":
        return {"all": join(list(collections.values()), list(collections))}
    if split == "topo":
        graphs = join(list(collections.values()), list(collections))
        found = topology_clusters(graphs, clusters, seed)
        return {f"cluster {c}": graphs.take(np.flatnonzero(found == c)) for c in np.unique(found).tolist()}
    parts: dict[str, Graphs] = {}
    for name, graphs in collections.items():
        groups = np.unique(graphs.groups) if graphs.groups is not None else np.zeros(1, np.int64)
        if len(groups) <= 1 or graphs.groups is None:
            parts[name] = graphs
            continue
        for group in groups.tolist():
            parts[f"{name}: {graphs.names[group]}"] = graphs.take(np.flatnonzero(graphs.groups == group))
    return parts


def make_bases(parts: Mapping[str, Graphs], settings: EstimatorSettings, resolution: int) -> Bases:
    """Estimate a graphon for each part and bring all to one size."""
    estimates = [estimate(graphs, settings) for graphs in parts.values()]
    graphons = np.stack([symmetric(resize_average(found.step, resolution)) for found in estimates])
    return Bases(tuple(parts), graphons, tuple(estimates), tuple(len(graphs) for graphs in parts.values()))


def symmetric(matrix: Floats) -> Floats:
    """Return the symmetric part; estimates of undirected graphs are symmetric up to rounding."""
    return np.asarray((matrix + matrix.T) / 2, np.float64)


def graph_keys(graphs: Graphs) -> list[str]:
    """Return a digest of each graph that does not depend on the numbering: sizes, degrees, and sums over neighbours."""
    degrees = graphs.degrees
    around = np.bincount(graphs.sources(), degrees[graphs.indices].astype(np.float64), minlength=graphs.nodes)
    further = np.bincount(graphs.sources(), around[graphs.indices], minlength=graphs.nodes)
    found = []
    for first, last in zip(graphs.offsets[:-1].tolist(), graphs.offsets[1:].tolist(), strict=True):
        rows = np.stack([degrees[first:last], around[first:last], further[first:last]]).astype(np.int64)
        ordered = rows[:, np.lexsort(rows)]
        found.append(hashlib.sha256(ordered.tobytes()).hexdigest()[:24] if last - first >= FEWEST_NODES else "")
    return found


def overlap(candidate: Graphs, target: Graphs) -> float:
    """Return the share of the target's graphs of 8 nodes or more that are among the candidate's, up to the numbering.

    networks, not ego networks: two samples of one network share no graph, but it is the same network.
    """
    theirs = [key for key in graph_keys(target) if key]
    if not theirs:
        return 0.0
    ours = set(graph_keys(candidate))
    return sum(key in ours for key in theirs) / len(theirs)


def check_overlap(networks: Mapping[str, Graphs], targets: Mapping[str, Graphs], policy: str) -> set[tuple[str, str]]:
    """Return the pairs (candidate, target) that share at least half of the target's graphs.

    Raises DataError that names them under the policy "refuse".
    """
    if policy == "allow":
        return set()
    found = {(c, t) for c, g in networks.items() for t, h in targets.items() if overlap(g, h) >= 0.5}
    if found and policy == "refuse":
        named = ", ".join(f"{t!r} in {c!r}" for c, t in sorted(found))
        raise DataError(
            f"A target's graphs are among the graphs to pre-train on: {named}. Take the candidate away, or set overlap: flag "
            "to go on without such pairs."
        )
    return found
