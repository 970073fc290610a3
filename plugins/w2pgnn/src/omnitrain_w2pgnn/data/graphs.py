"""Data `w2pgnn/graphs`: a source's graphs, and the samples that graphons are estimated from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from omnitrain.api import Context, numpy_generator
from omnitrain.errors import DataError
from omnitrain_w2pgnn.configs.data import GraphsConfig
from omnitrain_w2pgnn.data.collection import Collection
from omnitrain_w2pgnn.graphs.egos import ego_networks, sample_seeds
from omnitrain_w2pgnn.graphs.sources import read_source
from omnitrain_w2pgnn.graphs.structure import Graphs


class GraphsData(Collection):
    """A source's graphs. They are read when they are needed first."""

    def __init__(self, config: GraphsConfig, context: Context) -> None:
        super().__init__(config.positions)
        self.config = config
        self._seed = context.seed("samples")
        self._groups = context.seed("scaffolds")
        self._network: Graphs | None = None
        self._samples: Graphs | None = None
        self.skipped, self.first_fault = 0, ""
        self.notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Digits of the settings, the seed of the draws and the contents."""
        text = f"{self.config.model_dump_json()} {self._seed} {self._groups} {self.network().digest()}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def prepare(self, workspace: Path, context: Context) -> None:
        """Read the graphs, and say what was taken and what left out."""
        self.samples()
        for note in self.notes:
            context.event("read", note=note)
        if self.skipped:
            context.event("malformed records skipped", count=self.skipped, first=self.first_fault)

    def network(self) -> Graphs:
        """Return the graphs as they were read.

        Raises DataError for malformed contents, Unreachable where the source is not there.
        """
        if self._network is None:
            found = read_source(self.config, numpy_generator(self._groups))
            self._network, self.skipped, self.first_fault = found.graphs, found.skipped, found.first_fault
            self.notes = found.notes
        return self._network

    @property
    def as_egos(self) -> bool:
        """Whether samples are ego networks."""
        return self.config.samples == "egos" or (self.config.samples == "auto" and len(self.network()) == 1)

    def samples(self) -> Graphs:
        """Return ego networks of the seeds, or whole graphs; the same at every call.

        Raises DataError when the settings leave none.
        """
        if self._samples is None:
            config, graphs = self.config, self.network()
            generator = numpy_generator(self._seed)
            if self.as_egos:
                seeds = sample_seeds(graphs, config.seed_share, config.minimum_seeds, config.maximum_seeds, generator)
                found = ego_networks(graphs, seeds, config.hops, config.max_ego_nodes)
            else:
                most = len(graphs) if config.max_graphs is None else min(config.max_graphs, len(graphs))
                found = graphs.take(np.sort(generator.choice(len(graphs), most, replace=False)))
            if len(found) == 0:
                raise DataError(
                    f"{config.path} gives no samples: with minimum_seeds {config.minimum_seeds} and max_ego_nodes "
                    f"{config.max_ego_nodes} none are left; raise either."
                )
            self._samples = found
        return self._samples


def build(config: GraphsConfig, context: Context) -> GraphsData:
    """Make the data `w2pgnn/graphs`."""
    return GraphsData(config, context)
