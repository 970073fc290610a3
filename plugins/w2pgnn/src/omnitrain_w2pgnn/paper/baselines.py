"""What feasibility competes with: cheap distances between a selection's graphs and a target's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnitrain_w2pgnn.graphs.structure import Floats, Graphs
from omnitrain_w2pgnn.graphs.topology import topology_features

SPECTRUM = 32
MOST = 200


@dataclass(frozen=True)
class Summary:
    """What the baselines know of a collection. density: mean. features: float64[graphs, 8]. spectra: float64[graphs, 32]."""

    density: float
    features: Floats
    spectra: Floats


def summarise(graphs: Graphs) -> Summary:
    """Compute what the baselines need, on at most 200 graphs, evenly spaced."""
    chosen = graphs.take(np.unique(np.linspace(0, len(graphs) - 1, min(len(graphs), MOST)).astype(np.int64)))
    features = topology_features(chosen)
    return Summary(float(graphs.densities().mean()), np.where(np.isfinite(features), features, 0.0), _spectra(chosen))


def _spectra(graphs: Graphs) -> Floats:
    """Return the largest eigenvalues of each graph's normalised Laplacian, filled up with zeros."""
    found = np.zeros((len(graphs), SPECTRUM))
    for number in range(len(graphs)):
        dense = graphs.adjacency(number) > 0
        scale = 1 / np.sqrt(np.maximum(dense.sum(axis=1), 1))
        laplacian = np.diag((dense.sum(axis=1) > 0).astype(float)) - scale[:, None] * dense * scale[None, :]
        values = np.linalg.eigvalsh(laplacian)[::-1][:SPECTRUM]
        found[number, : len(values)] = values
    return found


def joined(parts: list[Summary]) -> Summary:
    """Return the summary of collections taken together."""
    return Summary(
        float(np.mean([p.density for p in parts])),
        np.concatenate([p.features for p in parts]),
        np.concatenate([p.spectra for p in parts]),
    )


def density_difference(source: Summary, target: Summary) -> float:
    """Return the difference of mean densities."""
    return abs(source.density - target.density)


def statistics_difference(source: Summary, target: Summary) -> float:
    """Return the distance of the mean topological features, in deviations over both."""
    both = np.concatenate([source.features, target.features])
    spread = np.maximum(both.std(axis=0), 1e-12)
    return float(np.linalg.norm((source.features.mean(axis=0) - target.features.mean(axis=0)) / spread))


def egi_bound(source: Summary, target: Summary) -> float:
    """Return the mean distance of Laplacian spectra over all pairs of graphs, in the style of EGI's structural bound."""
    squares = (source.spectra**2).sum(axis=1)[:, None] + (target.spectra**2).sum(axis=1)[None, :]
    return float(np.sqrt(np.maximum(squares - 2 * source.spectra @ target.spectra.T, 0)).mean())


def kernel_distance(source: Summary, target: Summary) -> float:
    """Return the maximum mean discrepancy of the topological features, Gaussian kernel at the median distance."""
    both = np.concatenate([source.features, target.features])
    scaled = (both - both.mean(axis=0)) / np.maximum(both.std(axis=0), 1e-12)
    squares = ((scaled[:, None, :] - scaled[None, :, :]) ** 2).sum(axis=2)
    positive = squares[squares > 0]
    kernel = np.exp(-squares / (np.median(positive) if len(positive) else 1.0))
    n = len(source.features)
    value = kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()
    return float(np.sqrt(max(value, 0.0)))


BASELINES = {
    "density difference": density_difference,
    "statistics difference": statistics_difference,
    "EGI-style bound": egi_bound,
    "kernel distance": kernel_distance,
}
