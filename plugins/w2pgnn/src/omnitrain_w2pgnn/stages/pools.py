"""Candidates and targets of a stage: read, checked for overlap, turned into graphons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from omnitrain.api import Heatmap, Run
from omnitrain_w2pgnn.configs.stages import EstimatorConfig, MixtureFitConfig, PoolConfig
from omnitrain_w2pgnn.data.collection import graphs_of
from omnitrain_w2pgnn.graphs.structure import Floats, Graphs
from omnitrain_w2pgnn.paper.bases import Bases, check_overlap, make_bases, split_graphs, symmetric
from omnitrain_w2pgnn.paper.feasibility import Fit, MixtureFitter, QuickFitter
from omnitrain_w2pgnn.paper.graphons.estimate import EstimatorSettings, estimate
from omnitrain_w2pgnn.paper.graphons.resizing import resize_average, resize_bilinear
from omnitrain_w2pgnn.paper.official import OfficialSettings, kl_distance, official_fit


@dataclass(frozen=True)
class Pool:
    """networks, samples: by candidate. target_networks, targets: by target. shared: (candidate, target) that overlap."""

    networks: dict[str, Graphs]
    samples: dict[str, Graphs]
    target_networks: dict[str, Graphs]
    targets: dict[str, Graphs]
    shared: set[tuple[str, str]]

    def allowed(self, selection: list[str] | tuple[str, ...], target: str) -> bool:
        """Whether no candidate of a selection holds the target's graphs."""
        return not any((name, target) in self.shared for name in selection)


def read_pool(config: PoolConfig, run: Run) -> Pool:
    """Read everything.

    Raises DataError for malformed data, and for a target among the candidates where that is refused.
    """
    found: dict[str, dict[str, tuple[Graphs, Graphs]]] = {"candidates": {}, "targets": {}}
    with run.progress("reading", len(config.candidates) + len(config.targets)) as bar:
        for kind, named in (("candidates", config.candidates), ("targets", config.targets)):
            for name, use in named.items():
                data: Any = run.data(use)[0]
                found[kind][name] = graphs_of(data, f"{kind}.{name}")
                bar.advance()
    (networks, samples), (target_networks, targets) = (
        tuple({name: pair[i] for name, pair in own.items()} for i in range(2)) for own in found.values()
    )
    shared = check_overlap(networks, target_networks, config.overlap)
    for candidate, target in sorted(shared):
        run.event("overlap", candidate=candidate, target=target)
    return Pool(networks, samples, target_networks, targets, shared)


def graphons_of(graphs: Mapping[str, Graphs], settings: EstimatorSettings, fit: MixtureFitConfig) -> dict[str, Floats]:
    """Return the graphon of each collection at the working size."""
    return {name: graphon_of(own, settings, fit) for name, own in graphs.items()}


def estimator_settings(config: EstimatorConfig, seed: int) -> EstimatorSettings:
    """Return the estimator's settings as the pure functions take them."""
    return EstimatorSettings(**config.model_dump(), seed=seed)


def graphon_of(graphs: Graphs, settings: EstimatorSettings, fit: MixtureFitConfig) -> Floats:
    """Return the graphon of a collection at the working size."""
    step = estimate(graphs, settings).step
    resize = resize_average if fit.compat == "sound" else resize_bilinear
    return symmetric(resize(step, fit.resolution))


def bases_of(
    collections: dict[str, Graphs], split: str, clusters: int, settings: EstimatorSettings, fit: MixtureFitConfig
) -> Bases:
    """Return the bases of one split."""
    found = make_bases(split_graphs(collections, split, clusters, settings.seed), settings, fit.resolution)
    if fit.compat == "sound":
        return found
    graphons = np.stack([symmetric(resize_bilinear(e.step, fit.resolution)) for e in found.estimates])
    return Bases(found.names, graphons, found.estimates, found.counts)


@dataclass(frozen=True)
class Assessment:
    """One split of the pre-training graphs against one target. weights: float64[bases]. distance: of the fitted mixture;
    uniform: of the plain mean; singles: float64[bases], of each basis alone. coupling: None in compat mode."""

    bases: Bases
    weights: Floats
    distance: float
    uniform: float
    singles: Floats
    coupling: Floats | None

    @property
    def mixture(self) -> Floats:
        """The generator that comes nearest to the target, float64[n, n]."""
        return np.asarray(np.tensordot(self.weights, self.bases.graphons, axes=1), np.float64)


def make_fitter(fit: MixtureFitConfig, bases: Floats, target: Floats, seed: int) -> MixtureFitter:
    """Return a fitter as the settings say. bases: float64[K, n, n], target: float64[n, n]."""
    kind = MixtureFitter if fit.search == "thorough" else QuickFitter
    return kind(bases, target, fit.random_starts, seed)


def assess(bases: Bases, target: Floats, fit: MixtureFitConfig, seed: int) -> Assessment:
    """Fit a mixture of bases to a target graphon."""
    if fit.compat == "official":
        found = official_fit(bases.graphons, target, OfficialSettings(epochs=fit.epochs))
        singles = np.array([kl_distance(basis, target) for basis in bases.graphons])
        uniform = kl_distance(bases.graphons.mean(axis=0), target)
        return Assessment(bases, found.weights, found.distance, uniform, singles, None)
    fitter = make_fitter(fit, bases.graphons, target, seed)
    best: Fit = fitter.fit()
    singles = np.array([fitter.fit([i]).distance for i in range(len(bases.graphons))])
    return Assessment(bases, best.weights, best.distance, fitter.uniform().distance, singles, best.coupling)


def graphon_panels(graphons: Mapping[str, Floats], caption: str) -> Heatmap:
    """Return graphons side by side on one scale from 0, each named with its mean."""
    panels = {f"{name} (mean {float(g.mean()):.3f})": g for name, g in graphons.items()}
    return Heatmap((), (), panels, scale="probability of an edge", low=0.0, caption=caption)
