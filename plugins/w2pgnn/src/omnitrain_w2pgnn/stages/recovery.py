"""Stage `w2pgnn/recovery`: planted mixtures on true and on estimated graphons, permutations, monotony, motif densities."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np

from omnitrain.api import Evaluation, Figure, Metric, Run, Table, numpy_generator
from omnitrain_w2pgnn.configs.stages import RecoveryConfig
from omnitrain_w2pgnn.graphs.structure import Floats
from omnitrain_w2pgnn.paper.bases import symmetric
from omnitrain_w2pgnn.paper.feasibility import MixtureFitter
from omnitrain_w2pgnn.paper.graphons.densities import EDGES, motif_bounds, motif_densities
from omnitrain_w2pgnn.paper.graphons.estimate import EstimatorSettings, estimate
from omnitrain_w2pgnn.paper.graphons.resizing import resize_average
from omnitrain_w2pgnn.paper.graphons.simulation import mixture, sample_graphs, synthetic_graphon
from omnitrain_w2pgnn.paper.official import official_fit
from omnitrain_w2pgnn.stages.pools import graphon_panels

GRAPHON = 240
"""Size of the true graphons that graphs are sampled from; even, a multiple of many sizes."""


def recovery(config: RecoveryConfig, run: Run) -> None:
    """Fit planted mixtures and report what was found."""
    planted = np.array(config.weights)
    true = np.stack([resize_average(synthetic_graphon(k, GRAPHON), config.resolution) for k in config.types])
    goal = mixture(planted, true)
    metrics: dict[str, Metric] = {}
    exact, timing = _exact(config, true, goal, planted, run)
    metrics |= exact
    with run.progress("estimated graphons", len(config.estimators)) as bar:
        rows: list[list[Any]] = []
        for method in config.estimators:
            rows += _estimated(method, config, planted, run)
            bar.advance()
    for method, count, size, error, distance, best_single in rows:
        metrics[f"{method}/{count} graphs of {size}/weight error"] = Metric(error, count, "lower")
        metrics[f"{method}/{count} graphs of {size}/gain over singles"] = Metric(best_single - distance, count, "higher")
    densities = _densities(goal, true, run)
    run.timing(0, timing)
    tables = {
        "estimated": Table(
            ("estimator", "graphs", "nodes", "weight error (L1)", "distance", "of the best single basis"),
            rows,
            "Weights fitted on graphons that were estimated from sampled graphs.",
        ),
        "densities": Table(
            ("motif", "mixture", "sampled graphs", "difference to a basis", "bound"), densities, "Graphs of the mixture."
        ),
    }
    points: dict[str, list[tuple[float, float]]] = {}
    for method, count, size, error, _, _ in rows:
        points.setdefault(f"{method}, {size} nodes", []).append((float(count), error))
    figure = Figure(points, "graphs", "weight error (L1)", "Error of the fitted weights over the number of sampled graphs.")
    names = {f"type {k}": g for k, g in zip(config.types, true, strict=True)}
    picture = graphon_panels({**names, "planted mixture": goal}, "The true bases.")
    run.report("w2pgnn/recovery", Evaluation(metrics, tables, figures={"error": figure, "bases": picture}))


def _exact(
    config: RecoveryConfig, true: Floats, goal: Floats, planted: Floats, run: Run
) -> tuple[dict[str, Metric], dict[str, float]]:
    """Fit the true graphons: weights, permutations, monotony, and the official fit on the same problem."""
    generator = numpy_generator(run.seed("permutations"))
    started = time.perf_counter()
    fitter = MixtureFitter(true, goal)
    fit = fitter.fit()
    seconds = time.perf_counter() - started
    distances = [fit.distance]
    for _ in range(config.permutations):
        order = generator.permutation(len(goal))
        distances.append(MixtureFitter(true, goal[np.ix_(order, order)]).fit().distance)
    chain = [fitter.fit(range(k)).distance for k in range(1, len(true) + 1)]
    rises = max([b - a for a, b in pairwise(chain)], default=0.0)
    found = {
        "sound/distance": Metric(fit.distance, 1, "lower"),
        "sound/weight error": Metric(float(np.abs(fit.weights - planted).sum()), 1, "lower"),
        "sound/distance, worst permutation": Metric(max(distances), len(distances), "lower"),
        "sound/largest rise with a basis": Metric(max(rises, 0.0), len(chain), "lower"),
    }
    timing = {"sound_seconds": seconds}
    if config.official:
        started = time.perf_counter()
        other = official_fit(true, goal)
        timing["official_seconds"] = time.perf_counter() - started
        found["official/weight error"] = Metric(float(np.abs(other.weights - planted).sum()), 1, "lower")
        reached = MixtureFitter(other.mixture.astype(np.float64)[None], goal).fit().distance
        found["official/distance"] = Metric(reached, 1, "lower")
    return found, timing


def _estimated(method: str, config: RecoveryConfig, planted: Floats, run: Run) -> list[list[Any]]:
    sources = np.stack([synthetic_graphon(k, GRAPHON) for k in config.types])
    goal = mixture(planted, sources)
    settings = EstimatorSettings(method=method, tv_weight=0.05, seed=run.seed("estimator") % 2**31)
    rows = []
    for size in config.graph_sizes:
        for count in config.graph_counts:
            generator = numpy_generator(run.seed(f"graphs {size} {count}"))
            steps = [estimate(sample_graphs(g, [size] * count, generator), settings).step for g in [*sources, goal]]
            small = np.stack([symmetric(resize_average(step, config.resolution)) for step in steps])
            fitter = MixtureFitter(small[:-1], small[-1], 4)
            fit = fitter.fit()
            single = min(fitter.fit([i]).distance for i in range(len(sources)))
            rows.append([method, count, size, float(np.abs(fit.weights - planted).sum()), fit.distance, single])
    return rows


def _densities(goal: Floats, true: Floats, run: Run) -> list[list[Any]]:
    """Compare motif densities of the mixture, of graphs sampled from it, and of its first basis."""
    generator = numpy_generator(run.seed("samples"))
    graphs = sample_graphs(goal, [200] * 10, generator)
    found = [motif_densities(graphs.adjacency(i)) for i in range(len(graphs))]
    exact, bounds = motif_densities(goal), motif_bounds(goal, true[0])
    return [[m, exact[m], float(np.mean([f[m] for f in found])), bounds[m][0], bounds[m][1]] for m in EDGES]
