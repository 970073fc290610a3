"""From a collection of graphs to its graphon: one estimator chosen by name, a small step function as the result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnitrain.errors import DataError, UsageError
from omnitrain_w2pgnn.graphs.structure import Floats, Graphs, Ints
from omnitrain_w2pgnn.paper.graphons.alignment import aligned_mean, block_sums, degree_ranks, node_probabilities, truncate
from omnitrain_w2pgnn.paper.graphons.barycenters import BarycenterSettings, barycenter, graph_lists
from omnitrain_w2pgnn.paper.graphons.blockmodel import block_approximation
from omnitrain_w2pgnn.paper.graphons.estimators import (
    block_count,
    block_width,
    largest_gap,
    matrix_completion,
    singular_value_threshold,
    sort_and_smooth,
)

METHODS = ("SAS", "LG", "MC", "USVT", "SBA", "GWB", "SGWB", "FGWB", "SFGWB")


@dataclass(frozen=True)
class EstimatorSettings:
    """method: one of METHODS. tv_weight: of SAS; None takes the block width, as the official code does. The barycenters'
    numbers are alpha (smoothness), beta (kernel), gamma (balance, of the fused ones), inner and outer iterations.
    max_nodes: larger graphs keep their nodes of highest degree. seed: of the order in which SBA looks at nodes."""

    method: str = "USVT"
    tv_weight: float | None = None
    usvt_threshold: float = 0.1
    sba_threshold: float = 0.1
    smoothness: float = 3e-4
    kernel: float = 5e-3
    balance: float = 0.1
    inner: int = 50
    outer: int = 20
    max_nodes: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Estimate:
    """step: the graphon as a step function float64[k, k] or [N, N]. mean: the aligned mean float64[N, N], None where the
    method needs none. width, blocks: of the official block rule. largest: nodes of the largest graph. density: mean."""

    step: Floats
    mean: Floats | None
    width: int
    blocks: int
    largest: int
    density: float


def estimate(
    graphs: Graphs,
    settings: EstimatorSettings,
    ranks: Ints | None = None,
    order: Ints | None = None,
) -> Estimate:
    """Estimate the graphon of a collection.

    ranks: places of the nodes, by default in descending order of degree. order: in which SBA looks at the places.
    Raises DataError for a collection without nodes, UsageError for an unknown method.
    """
    if settings.method not in METHODS:
        raise UsageError(f"There is no graphon estimator {settings.method!r}; expected one of {', '.join(METHODS)}.")
    if len(graphs) == 0 or graphs.nodes == 0:
        raise DataError("A graphon can't be estimated without graphs that have nodes; look at the data's settings.")
    density = float(graphs.densities().mean())
    ranks = degree_ranks(graphs) if ranks is None else ranks
    if settings.max_nodes is not None:
        graphs, ranks = truncate(graphs, ranks, settings.max_nodes)
    largest = int(graphs.sizes.max())
    width, blocks = block_width(largest), block_count(largest)
    step, mean = _step(graphs, ranks, order, settings, largest, width, blocks)
    return Estimate(step, mean, width, blocks, largest, density)


def _step(
    graphs: Graphs, ranks: Ints, order: Ints | None, settings: EstimatorSettings, largest: int, width: int, blocks: int
) -> tuple[Floats, Floats | None]:
    method = settings.method
    if method.endswith("GWB"):
        return barycenter(graphs, node_probabilities(graphs), blocks, barycenter_settings(settings)), None
    if method == "SAS":
        means = block_sums(graphs, ranks, width, blocks) / (len(graphs) * width**2)
        weight = float(width) if settings.tv_weight is None else settings.tv_weight
        return sort_and_smooth(means, weight), None
    if method == "SBA":
        first, second = graph_lists(graphs, ranks)
        looked = np.random.default_rng(settings.seed).permutation(largest) if order is None else order
        return block_approximation(first, second, len(graphs), settings.sba_threshold, looked), None
    mean = aligned_mean(graphs, ranks, largest)
    if method == "LG":
        return largest_gap(mean, blocks), mean
    if method == "MC":
        return matrix_completion(mean), mean
    return singular_value_threshold(mean, settings.usvt_threshold), mean


def barycenter_settings(settings: EstimatorSettings) -> BarycenterSettings:
    """Return the barycenter's numbers: GWB and SGWB have no fused part (gamma 1), GWB and FGWB no smoothing."""
    fused = settings.method in ("FGWB", "SFGWB")
    return BarycenterSettings(
        settings.smoothness,
        settings.kernel,
        settings.balance if fused else 1.0,
        settings.inner,
        settings.outer,
        settings.method in ("SGWB", "SFGWB"),
    )
