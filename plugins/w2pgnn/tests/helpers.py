"""Random graphons, and pre-training data on the karate club."""

import numpy as np

from omnitrain.api import UseData
from omnitrain_w2pgnn.configs.data import AugmentationsConfig, MaskedConfig, WalksConfig
from omnitrain_w2pgnn.configs.models import GinConfig
from omnitrain_w2pgnn.data.augmentations import Augmentations
from omnitrain_w2pgnn.data.masked import Masked
from omnitrain_w2pgnn.data.walks import Walks
from omnitrain_w2pgnn.graphs.structure import Graphs

USE = UseData(use="w2pgnn/graphs")
SMALL = GinConfig(hidden=16, output=16, layers=3, max_degree=32)

VIEWS = {
    "walks": lambda c: Walks(WalksConfig(graphs=USE, positions=4, visits=12), c),
    "augmentations": lambda c: Augmentations(AugmentationsConfig(graphs=USE, positions=4), c),
    "masked": lambda c: Masked(MaskedConfig(graphs=USE, positions=4), c),
}


def noisy(count, size, seed):
    """Return symmetric random graphons, rough and of different density."""
    generator = np.random.default_rng(seed)
    found = generator.random((count, size, size)) * generator.random((count, 1, 1))
    return (found + found.transpose(0, 2, 1)) / 2


def shuffled(matrix, seed):
    order = np.random.default_rng(seed).permutation(len(matrix))
    return matrix[np.ix_(order, order)]


def numbered(graphs):
    """Give the nodes their numbers as attributes, so that subgraphs tell where they are from."""
    return Graphs(graphs.offsets, graphs.indptr, graphs.indices, attributes=np.arange(graphs.nodes))
