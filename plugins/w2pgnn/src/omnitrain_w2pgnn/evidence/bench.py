"""Speed beside networkx, torch_geometric, POT and the official fit; CPU time, so that other programs count less."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np

from omnitrain.api import Bar, Bench
from omnitrain_w2pgnn.graphs.egos import ego_networks
from omnitrain_w2pgnn.graphs.structure import Floats, Graphs, from_edges
from omnitrain_w2pgnn.graphs.topology import topology_features
from omnitrain_w2pgnn.graphs.walks import walk_subgraphs
from omnitrain_w2pgnn.paper.feasibility import fit_mixture, fit_quickly
from omnitrain_w2pgnn.paper.graphons.alignment import aligned_mean, degree_ranks
from omnitrain_w2pgnn.paper.graphons.simulation import sample_graphs, synthetic_graphon
from omnitrain_w2pgnn.paper.official import OfficialSettings, entropic_loss, official_fit
from omnitrain_w2pgnn.paper.transport import RELATIVE, refine, squared_distance

NODES, DEGREE, SEEDS = 20_000, 5, 100
# Epochs that the official fit takes before its early stop can end it.
EPOCHS = 34


def _timed(work: Callable[[], Any], repeats: int = 1) -> Callable[[], float]:
    def measure() -> float:
        begin = process_time()
        for _ in range(repeats):
            work()
        return (process_time() - begin) * 1e3 / repeats

    return measure


def _network() -> tuple[Any, Graphs, Any]:
    """Return a power-law graph for networkx, for us and for torch_geometric."""
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]
    import torch

    graph = nx.barabasi_albert_graph(NODES, DEGREE, seed=1)
    ours = from_edges([NODES], np.array(graph.edges()))
    return graph, ours, torch.from_numpy(np.stack([ours.sources(), ours.indices]))


def _egos(graph: Any, ours: Graphs, edge_index: Any, seeds: np.ndarray) -> Bench:
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    from omnitrain_w2pgnn.graphs.sources import quiet_geometric

    quiet_geometric()
    from torch_geometric.utils import k_hop_subgraph  # type: ignore[import-untyped, unused-ignore]

    variants = {
        "ego_networks": _timed(lambda: ego_networks(ours, seeds), 5),
        "networkx": _timed(lambda: [nx.ego_graph(graph, int(s), radius=2) for s in seeds]),
        "torch_geometric": _timed(
            lambda: [k_hop_subgraph(int(s), 2, edge_index, relabel_nodes=True, num_nodes=NODES) for s in seeds]
        ),
    }
    summary = f"{SEEDS} two-hop ego networks of a graph of {NODES} nodes"
    bars = (Bar("networkx", 15), Bar("torch_geometric", 10))
    return Bench("ego networks", summary, "ms", "ego_networks", variants, bars=bars, rounds=5)


def _walk_by_walk(ours: Graphs, seeds: np.ndarray, visits: int, generator: np.random.Generator) -> list[set[int]]:
    """Random walks with restart the plain way, one step after the other."""
    found = []
    for seed in seeds.tolist():
        here, seen = seed, {seed}
        for _ in range(visits):
            neighbours = ours.indices[ours.indptr[here] : ours.indptr[here + 1]]
            here = int(neighbours[int(generator.random() * len(neighbours))])
            seen.add(here)
            if generator.random() < 0.8:
                here = seed
        found.append(seen)
    return found


def _walks(ours: Graphs, seeds: np.ndarray) -> Bench:
    generator = np.random.default_rng(0)
    visits = np.full(len(seeds), 64)
    variants = {
        "walk_subgraphs": _timed(lambda: walk_subgraphs(ours, seeds, visits, 0.8, generator), 5),
        "walk by walk": _timed(lambda: _walk_by_walk(ours, seeds, 64, generator)),
    }
    return Bench(
        "random walks", f"{SEEDS} walks of 64 visits; ours with the induced subgraphs", "ms", "walk_subgraphs", variants
    )


def _distances(size: int) -> Bench:
    """Exact Gromov-Wasserstein distances of four pairs of estimated graphons from the product coupling."""
    import ot  # type: ignore[import-untyped, unused-ignore]

    generator = np.random.default_rng(0)
    pairs = [(_estimated(2, size, generator), _estimated(9, size, generator)) for _ in range(4)]
    weights = np.full(size, 1 / size)
    start = np.full((size, size), size**-2.0)

    def ours() -> list[float]:
        return [refine(a, b, start, RELATIVE).squared for a, b in pairs]

    def theirs() -> list[Floats]:
        return [ot.gromov.gromov_wasserstein(a, b, weights, weights, "square_loss", symmetric=True) for a, b in pairs]

    losses = float(np.mean(ours())), float(np.mean([squared_distance(*p, t) for p, t in zip(pairs, theirs(), strict=True)]))
    summary = f"four Gromov-Wasserstein distances, {size} x {size}, mean loss {losses[0]:.4g}, POT's {losses[1]:.4g}"
    variants = {"refine": _timed(ours), "POT": _timed(theirs)}
    return Bench(f"distance, n = {size}", summary, "ms", "refine", variants, bars=(Bar("POT", 1 / 1.2),))


def _estimated(kind: int, size: int, generator: np.random.Generator) -> Floats:
    graphs = sample_graphs(synthetic_graphon(kind, size), [size] * 10, generator)
    return aligned_mean(graphs, degree_ranks(graphs), size)


def _official_epochs(bases: Floats, target: Floats) -> Callable[[], float]:
    """Milliseconds of the official fit: one epoch is run, forward and backward, and counted as often as it would be."""
    import torch

    theta = torch.ones(len(bases), 1, 1, requires_grad=True)
    stack, goal = torch.from_numpy(bases), torch.from_numpy(target).float()

    def epoch() -> None:
        mix = (torch.softmax(theta, dim=0) * stack).sum(dim=0).float()
        entropic_loss(mix, goal).backward()  # type: ignore[no-untyped-call]

    measure = _timed(epoch)
    return lambda: measure() * EPOCHS


def _fits(size: int) -> Bench:
    generator = np.random.default_rng(1)
    bases = np.stack([_estimated(k, size, generator) for k in (0, 4, 9)])
    target = _estimated(5, size, generator)
    official = official_fit(bases, target, OfficialSettings(epochs=EPOCHS))
    reached = fit_mixture(official.mixture[None], target).distance
    quick = fit_quickly(bases, target).distance
    thorough = fit_mixture(bases, target).distance
    name = f"official, {EPOCHS} epochs"
    variants = {
        "quick search": _timed(lambda: fit_quickly(bases, target), 3),
        "thorough search": _timed(lambda: fit_mixture(bases, target)),
        name: _official_epochs(bases, target),
    }
    distances = f"square-loss distance {quick:.3g}, {thorough:.3g} thorough, {reached:.3g} of the official mixture"
    summary = f"three bases, {size} x {size}, estimated graphons; {distances}"
    return Bench(f"feasibility, n = {size}", summary, "ms", "quick search", variants, bars=(Bar(name, 20),), rounds=3)


def _dense_mean(graphs: Graphs, size: int) -> Floats:
    """The aligned mean the plain way: one dense padded matrix per graph."""
    total = np.zeros((size, size))
    for graph in range(len(graphs)):
        dense = graphs.adjacency(graph)
        order = np.argsort(dense.sum(axis=1), kind="stable")[::-1]
        total[: len(dense), : len(dense)] += dense[np.ix_(order, order)]
    return total / len(graphs)


def _alignment() -> Bench:
    generator = np.random.default_rng(0)
    graphs = sample_graphs(0.1 * synthetic_graphon(4, 100), generator.integers(50, 300, 200).tolist(), generator)
    size = int(graphs.sizes.max())
    variants = {
        "aligned_mean": _timed(lambda: aligned_mean(graphs, degree_ranks(graphs), size), 3),
        "dense, graph by graph": _timed(lambda: _dense_mean(graphs, size)),
    }
    return Bench("alignment", "mean of 200 aligned graphs of 50 to 300 nodes", "ms", "aligned_mean", variants)


def _features() -> Bench:
    import networkx as nx  # type: ignore[import-untyped, unused-ignore]

    from omnitrain_w2pgnn.graphs.embedded import EMBEDDED

    graphs = EMBEDDED["atlas"]().take(np.arange(0, 900, 9))
    lists = [nx.from_numpy_array(graphs.adjacency(i)) for i in range(len(graphs))]

    def plain() -> None:
        for g in lists:
            nx.closeness_centrality(g)
            nx.transitivity(g)
            nx.average_clustering(g)

    variants = {"topology_features": _timed(lambda: topology_features(graphs), 3), "networkx": _timed(plain)}
    return Bench(
        "topological features", "100 small graphs; networkx: three of the eight features", "ms", "topology_features", variants
    )


def benches() -> list[Bench]:
    """Ego networks, walks, alignment, features, distances and fits beside what people use."""
    graph, ours, edge_index = _network()
    seeds = np.random.default_rng(0).integers(0, NODES, SEEDS)
    found = [_egos(graph, ours, edge_index, seeds), _walks(ours, seeds), _alignment(), _features()]
    return [*found, *(_distances(n) for n in (32, 64, 128)), *(_fits(n) for n in (64, 128))]
