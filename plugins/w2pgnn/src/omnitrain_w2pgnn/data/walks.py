"""Data `w2pgnn/walks`: GCC's pairs of random-walk subgraphs around a node."""

from __future__ import annotations

import numpy as np

from omnitrain.api import Batch, Context
from omnitrain.errors import DataError
from omnitrain_w2pgnn.configs.data import WalksConfig
from omnitrain_w2pgnn.data.views import PairedViews
from omnitrain_w2pgnn.graphs.structure import Ints
from omnitrain_w2pgnn.graphs.tensors import paired, structural
from omnitrain_w2pgnn.graphs.walks import walk_subgraphs, walk_visits


class Walks(PairedViews):
    """Pairs of random-walk subgraphs around nodes, which are drawn in proportion to degree ** degree_power."""

    config: WalksConfig

    def population(self) -> int:
        """Return the number of nodes."""
        return self.graphs[0].nodes

    def draw(self, count: int, generator: np.random.Generator) -> Ints:
        """Return nodes; isolated ones are never drawn.

        Raises DataError for graphs without any edge.
        """
        weights = np.cumsum(self.graphs[0].degrees.astype(np.float64) ** self.config.degree_power)
        if weights[-1] <= 0:
            raise DataError("The graphs have no edges, so there is nothing to walk on; take other graphs.")
        return np.asarray(np.searchsorted(weights, generator.random(count) * weights[-1], side="right"), np.int64)

    def rows(self, chosen: Ints, generator: np.random.Generator) -> Batch:
        """Walk twice around each node."""
        config, network = self.config, self.graphs[0]
        visits = walk_visits(network.degrees[chosen], config.restart, config.visits, config.degree_power, config.max_visits)
        found = [walk_subgraphs(network, chosen, visits, config.restart, generator) for _ in range(2)]
        return paired(*(structural(graphs, config.positions) for graphs in found))


def build(config: WalksConfig, context: Context) -> Walks:
    """Make the data `w2pgnn/walks`."""
    return Walks(config, context)
