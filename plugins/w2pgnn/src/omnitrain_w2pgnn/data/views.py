"""What pre-training data have in common: batches drawn from a collection of graphs."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.api import Batch, BatchPlan, Context, Fields, Piece, Prepares, numpy_generator
from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain_w2pgnn.configs.data import SubgraphsConfig, ViewsConfig
from omnitrain_w2pgnn.data.collection import explained, graphs_of
from omnitrain_w2pgnn.graphs.structure import Graphs, Ints
from omnitrain_w2pgnn.graphs.tensors import PAIRED, rows_of, split_pairs, view
from omnitrain_w2pgnn.graphs.walks import walk_subgraphs

SPLITS = ("train", "valid")


class Views(ABC):
    """Rows drawn from graphs with a generator: what the pre-training data have in common."""

    batch: Fields = PAIRED

    def __init__(self, config: ViewsConfig, context: Context, data: Any = None) -> None:
        """data: in place of building `config.graphs`, graphs that are there already."""
        self.config = config
        self._context = context
        self._data = data
        self._graphs: tuple[Graphs, Graphs] | None = None
        self._valid_seed = context.seed("valid")

    @property
    def graphs(self) -> tuple[Graphs, Graphs]:
        """The network and the samples that rows are drawn from."""
        if self._graphs is None:
            self._graphs = graphs_of(self._source(), "graphs")
        return self._graphs

    def _source(self) -> Any:
        if self._data is None:
            use = self.config.graphs
            try:
                self._data = self._context.build(use)
            except UsageError as error:
                if use.source is None:
                    raise
                raise EnvironmentFault(f"The graphs of stage {use.source!r} are not there: {error}") from error
            if isinstance(self._data, Prepares):
                self._data.prepare(self._context.workspace, self._context)
        return self._data

    @property
    def fingerprint(self) -> str:
        """Digits of settings and contents."""
        own = self.config.model_dump(exclude={"graphs"})
        text = f"{type(self).__name__} {own} {self._source().fingerprint} {self._valid_seed}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def prepare(self, workspace: Path, context: Context) -> None:
        """Read the graphs."""
        self.graphs  # noqa: B018

    def splits(self) -> Sequence[str]:
        """Name the splits."""
        return SPLITS

    def examples(self, split: str) -> Sequence[int]:
        """Return the numbers of what rows are drawn around."""
        return range(self.population())

    def collate(self, examples: Sequence[int]) -> Batch:
        """Make a batch around given seeds, with draws that these seeds decide."""
        chosen = np.asarray(examples, np.int64)
        digits = hashlib.sha256(chosen.tobytes() + self._valid_seed.to_bytes(8, "little")).digest()
        return self.rows(chosen, numpy_generator(int.from_bytes(digits[:8], "little") >> 1))

    def batches(self, split: str, plan: BatchPlan) -> ViewStream:
        """Return the batches of a split."""
        return ViewStream(self, split, plan)

    def facts(self) -> Mapping[str, Any]:
        """Tell models the width of the positional features."""
        return {"positions": self.config.positions}

    @abstractmethod
    def population(self) -> int:
        """Return how many different rows there are."""

    @abstractmethod
    def draw(self, count: int, generator: np.random.Generator) -> Ints:
        """Return numbers of rows, int64[count], drawn with replacement."""

    @abstractmethod
    def rows(self, chosen: Ints, generator: np.random.Generator) -> Batch:
        """Make the batch of some rows."""


class ViewStream:
    """Batches of a split: number n is a function of the seed and n."""

    def __init__(self, data: Views, split: str, plan: BatchPlan) -> None:
        self._data, self._split, self._plan, self._next = data, split, plan, 0

    def __iter__(self) -> Iterator[Batch]:
        plan, data = self._plan, self._data
        while plan.train or self._next < data.config.valid_batches:
            sequence = np.random.SeedSequence([plan.seed, plan.rank, self._next, SPLITS.index(self._split)])
            generator = np.random.Generator(np.random.PCG64(sequence))
            self._next += 1
            chosen = data.draw(plan.batch_size, generator)
            yield {"example_ids": chosen, **data.rows(chosen, generator)}

    def state_dict(self) -> dict[str, Any]:
        """Return the number of the next batch."""
        return {"next": self._next}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position."""
        self._next = int(state["next"])


class PairedViews(Views):
    """Rows are pairs of views."""

    def split_batch(self, batch: Batch, parts: int) -> Sequence[Batch]:
        """Cut a batch into batches of fewer pairs."""
        return split_pairs(batch, parts)

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show both views of one row."""
        return {name: explained(rows_of(view(batch, i), row, row + 1)) for i, name in enumerate(("first view", "second view"))}


class Subgraphs(Views):
    """Rows are samples, or random-walk subgraphs around nodes."""

    config: SubgraphsConfig

    def population(self) -> int:
        """Return the number of samples, or of nodes."""
        return len(self.graphs[1]) if self.config.visits is None else self.graphs[0].nodes

    def draw(self, count: int, generator: np.random.Generator) -> Ints:
        """Return numbers of rows, different ones as long as there are enough."""
        return np.asarray(generator.choice(self.population(), count, replace=count > self.population()), np.int64)

    def graphs_at(self, chosen: Ints, generator: np.random.Generator) -> Graphs:
        """Return the graphs of some rows."""
        if self.config.visits is None:
            return self.graphs[1].take(chosen)
        visits = np.full(len(chosen), self.config.visits)
        return walk_subgraphs(self.graphs[0], chosen, visits, self.config.restart, generator)
