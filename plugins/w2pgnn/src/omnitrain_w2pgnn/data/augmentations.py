"""Data `w2pgnn/augmentations`: GraphCL's pairs of augmentations of a graph."""

from __future__ import annotations

import numpy as np

from omnitrain.api import Batch, Context
from omnitrain_w2pgnn.configs.data import AugmentationsConfig
from omnitrain_w2pgnn.data.views import PairedViews, Subgraphs
from omnitrain_w2pgnn.graphs.augmenting import augment
from omnitrain_w2pgnn.graphs.structure import Ints
from omnitrain_w2pgnn.graphs.tensors import paired, structural


class Augmentations(Subgraphs, PairedViews):
    """Pairs of augmentations of the samples."""

    config: AugmentationsConfig

    def rows(self, chosen: Ints, generator: np.random.Generator) -> Batch:
        """Augment each sample twice."""
        graphs = self.graphs_at(chosen, generator)
        made = [augment(graphs, self.config.kinds, self.config.share, generator) for _ in range(2)]
        return paired(*(structural(found, self.config.positions, hidden) for found, hidden in made))


def build(config: AugmentationsConfig, context: Context) -> Augmentations:
    """Make the data `w2pgnn/augmentations`."""
    return Augmentations(config, context)
