"""Stage `w2pgnn/feasibility`: how near a mixture of the candidates comes to each target, which one, and how sure that is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from omnitrain.api import Evaluation, Heatmap, Metric, Run, Table
from omnitrain.engine import reads_data, write_json
from omnitrain_w2pgnn.configs.stages import FeasibilityConfig
from omnitrain_w2pgnn.graphs.structure import Floats, Graphs
from omnitrain_w2pgnn.paper.bases import Bases, make_bases, split_graphs
from omnitrain_w2pgnn.paper.feasibility import MixtureFitter
from omnitrain_w2pgnn.paper.graphons.densities import motif_bounds
from omnitrain_w2pgnn.stages.coefficients import spearman
from omnitrain_w2pgnn.stages.pools import (
    Assessment,
    Pool,
    assess,
    bases_of,
    estimator_settings,
    graphon_of,
    graphon_panels,
    read_pool,
)

DENSITY_ONLY = 0.95
"""Rank correlation with the density difference from which a ranking is flagged as one of densities."""


@dataclass(frozen=True)
class Feasibility:
    """A target's feasibility. splits: by name. winner: the split with the smallest distance. spread: distances over resampled
    graphs. target: its graphon. candidates: distance of each candidate alone. densities: mean ones, of the target first.
    sizes: graphs, median and largest number of nodes, before truncation. density_rank: Spearman of the candidates' distances
    and density differences.
    """

    splits: dict[str, Assessment]
    winner: str
    spread: Floats
    target: Floats
    candidates: dict[str, float]
    densities: dict[str, float]
    sizes: dict[str, tuple[int, int, int]]
    density_rank: float | None

    @property
    def best(self) -> Assessment:
        """The winning split."""
        return self.splits[self.winner]

    @property
    def only_densities(self) -> bool:
        """Whether the ranking of the candidates is that of their densities."""
        return self.density_rank is not None and self.density_rank >= DENSITY_ONLY

    def plain(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "feasibility": -self.best.distance,
            "split": self.winner,
            "weights": dict(zip(self.best.bases.names, self.best.weights.tolist(), strict=True)),
            "splits": {n: {"distance": _plain(a.distance), "uniform": _plain(a.uniform)} for n, a in self.splits.items()},
            "spread": self.spread.tolist(),
            "candidates": {name: _plain(value) for name, value in self.candidates.items()},
            "densities": self.densities,
            "only_densities": self.only_densities,
        }


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


@reads_data
def feasibility(config: FeasibilityConfig, run: Run) -> None:
    """Tell for each target how near a mixture of the candidates comes, which one, and how sure that is."""
    pool = read_pool(config, run)
    started = time.perf_counter()
    judged: dict[str, Feasibility] = {}
    with run.progress("fitting", len(pool.targets)) as bar:
        for name in pool.targets:
            judged[name] = target_feasibility(name, pool, config, run.seed("fit"))
            bar.advance()
    run.timing(0, {"seconds": time.perf_counter() - started})
    run.report("w2pgnn/feasibility", feasibility_evaluation(judged, config))
    with run.artifact("feasibility.json", "report") as path:
        write_json(path, {name: found.plain() for name, found in judged.items()})


def target_feasibility(name: str, pool: Pool, config: FeasibilityConfig, seed: int) -> Feasibility:
    """Fit every split of the candidates that do not hold the target."""
    settings = estimator_settings(config.estimator, seed % 2**31)
    collections = {c: graphs for c, graphs in pool.samples.items() if (c, name) not in pool.shared} or dict(pool.samples)
    target = graphon_of(pool.targets[name], settings, config.fit)
    splits: dict[str, Assessment] = {}
    for split in config.splits:
        bases = bases_of(collections, split, config.clusters, settings, config.fit)
        splits[split] = assess(bases, target, config.fit, seed)
    winner = min(splits, key=lambda s: (not np.isfinite(splits[s].distance), splits[s].distance))
    own = bases_of(collections, "domain", 1, settings, config.fit) if "domain" not in splits else splits["domain"].bases
    alone = splits.get("domain") or assess(own, target, config.fit, seed)
    candidates = dict(zip(own.names, alone.singles.tolist(), strict=True))
    densities = {name: float(pool.targets[name].densities().mean())}
    densities |= {n: e.density for n, e in zip(own.names, own.estimates, strict=True)}
    sizes = {n: _sizes(g) for n, g in {name: pool.targets[name], **collections}.items()}
    spread = _resampled(name, pool, collections, splits[winner], winner, config, seed)
    rank = _density_rank(candidates, densities, name)
    return Feasibility(splits, winner, spread, target, candidates, densities, sizes, rank)


def _sizes(graphs: Graphs) -> tuple[int, int, int]:
    return len(graphs), round(float(np.median(graphs.sizes))), int(graphs.sizes.max())


def _density_rank(candidates: dict[str, float], densities: dict[str, float], target: str) -> float | None:
    if len(candidates) < 4 or not all(np.isfinite(v) for v in candidates.values()):
        return None
    differences = [abs(densities[c] - densities[target]) for c in candidates]
    return spearman(list(candidates.values()), differences)


def _resampled(
    name: str, pool: Pool, collections: dict[str, Graphs], best: Assessment, split: str, config: FeasibilityConfig, seed: int
) -> Floats:
    """Return the distance with the graphs of every basis and of the target drawn again with replacement."""
    if config.fit.compat == "official":
        return np.empty(0)
    settings = estimator_settings(config.estimator, seed % 2**31)
    parts = split_graphs(collections, split, config.clusters, settings.seed)
    generator = np.random.default_rng(seed % 2**63)
    found = []
    for _ in range(config.resamples):
        drawn = {n: g.take(generator.integers(0, len(g), len(g))) for n, g in parts.items()}
        goal = pool.targets[name]
        target = graphon_of(goal.take(generator.integers(0, len(goal), len(goal))), settings, config.fit)
        bases: Bases = make_bases(drawn, settings, config.fit.resolution)
        starts = [best.coupling] if best.coupling is not None else []
        found.append(MixtureFitter(bases.graphons, target, 0, seed, starts).descend().distance)
    return np.array(found)


def feasibility_evaluation(judged: dict[str, Feasibility], config: FeasibilityConfig) -> Evaluation:
    """Return metrics, tables and pictures of all targets."""
    metrics: dict[str, Metric] = {}
    pictures: dict[str, Heatmap] = {}
    for name, found in judged.items():
        best, interval = found.best, _interval(found.spread)
        if np.isfinite(best.distance):
            limits = (-interval[1], -interval[0]) if interval else None
            metrics[f"{name}/feasibility"] = Metric(-best.distance, sum(best.bases.counts), "higher", limits)
        metrics[f"{name}/density"] = Metric(found.densities[name], found.sizes[name][0])
        shown = dict(zip(best.bases.names, best.bases.graphons, strict=True))
        caption = f"Bases of the split {found.winner}, their best mixture and the target."
        pictures[f"graphons for {name}"] = graphon_panels({**shown, "mixture": best.mixture, "target": found.target}, caption)
    tables = {
        "feasibility": _summary(judged, config),
        "weights": _weights(judged),
        "ranking": _ranking(judged),
        "graphs": _graphs(judged),
        "motifs": _motifs(judged),
    }
    return Evaluation(metrics, tables, figures=pictures)


def _summary(judged: dict[str, Feasibility], config: FeasibilityConfig) -> Table:
    rows: list[list[Any]] = []
    for name, found in judged.items():
        interval = _interval(found.spread)
        spread = f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
        flag = "ranks densities only" if found.only_densities else ""
        for split, one in found.splits.items():
            won = split == found.winner
            told = ["best" if won else "", spread if won else "", flag if won else ""]
            rows.append([name, split, -one.distance, -one.uniform, len(one.bases.names), *told])
    columns = ("target", "split", "feasibility", "of the plain mean", "bases", "", "distance, 95 % of resampled graphs", "note")
    method = config.estimator.method
    caption = f"Estimator {method}, {config.fit.compat}, size {config.fit.resolution}: negative Gromov-Wasserstein distance."
    return Table(columns, rows, caption)


def _weights(judged: dict[str, Feasibility]) -> Table:
    rows = [
        [name, split, basis, float(weight), float(single), count, estimate.largest, estimate.density]
        for name, found in judged.items()
        for split, one in found.splits.items()
        for basis, weight, single, count, estimate in zip(
            one.bases.names, one.weights, one.singles, one.bases.counts, one.bases.estimates, strict=True
        )
    ]
    return Table(
        ("target", "split", "basis", "weight", "distance alone", "graphs", "largest graph, cut", "mean density"),
        rows,
        "Weights of the bases in the mixture that comes nearest.",
    )


def _ranking(judged: dict[str, Feasibility]) -> Table:
    rows = [
        [name, place, c, found.candidates[c], found.densities[c], abs(found.densities[c] - found.densities[name])]
        for name, found in judged.items()
        for place, c in enumerate(sorted(found.candidates, key=lambda c, found=found: found.candidates[c]), 1)  # type: ignore[misc]
    ]
    return Table(
        ("target", "rank", "candidate", "distance alone", "mean density", "density difference"),
        rows,
        "Candidates one by one. A ranking whose correlation with the density difference is near 1 says no more than that.",
    )


def _graphs(judged: dict[str, Feasibility]) -> Table:
    sizes = {name: size for found in judged.values() for name, size in found.sizes.items()}
    return Table(
        ("collection", "samples", "median nodes", "most nodes"),
        [[name, *size] for name, size in sizes.items()],
        "Before any cut.",
    )


def _motifs(judged: dict[str, Feasibility]) -> Table:
    rows = [
        [name, motif, difference, bound]
        for name, found in judged.items()
        for motif, (difference, bound) in motif_bounds(found.best.mixture, found.target).items()
    ]
    return Table(
        ("target", "motif", "difference of densities", "bound"), rows, "Mixture against target: e(F) times the cut norm."
    )


def _interval(spread: Floats) -> tuple[float, float] | None:
    if len(spread) < 2:
        return None
    low, high = np.quantile(spread, [0.025, 0.975])
    return float(low), float(high)
