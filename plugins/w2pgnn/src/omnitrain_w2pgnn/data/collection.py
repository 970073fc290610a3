"""What data of graphs has in common, and how any data that yields graphs is read."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from omnitrain.api import Batch, Fields, Piece
from omnitrain.engine import in_order
from omnitrain.errors import UsageError
from omnitrain_w2pgnn.graphs.structure import Graphs, join
from omnitrain_w2pgnn.graphs.tensors import SINGLE, cuts, graphs_of_batch, rows_of, structural

CHUNK = 256


@runtime_checkable
class YieldsGraphs(Protocol):
    """Data that holds graphs."""

    def network(self) -> Graphs:
        """Return the graphs as they were read: one big graph, or many."""

    def samples(self) -> Graphs:
        """Return the samples that stand for the data: ego networks or whole graphs."""


class Collection(ABC):
    """What data of graphs has in common: samples as rows of batches."""

    batch: Fields = SINGLE

    def __init__(self, positions: int) -> None:
        self._positions = positions

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Digits of settings and contents."""

    @abstractmethod
    def network(self) -> Graphs:
        """Return the graphs as they were read."""

    @abstractmethod
    def samples(self) -> Graphs:
        """Return the samples."""

    def splits(self) -> Sequence[str]:
        """Name the only split."""
        return ["train"]

    def examples(self, split: str) -> Sequence[int]:
        """Return the numbers of the samples."""
        return range(len(self.samples()))

    def collate(self, examples: Sequence[int]) -> Batch:
        """Make a batch of samples."""
        return structural(self.samples().take(list(examples)), self._positions)

    def split_batch(self, batch: Batch, parts: int) -> Sequence[Batch]:
        """Cut a batch into batches of fewer graphs."""
        return [rows_of(batch, a, b) for a, b in cuts(len(batch["sizes"]), parts)]

    def facts(self) -> Mapping[str, Any]:
        """Tell models the width of the positional features."""
        return {"positions": self._positions}

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show one graph as its size and its first edges."""
        return {"graph": explained(rows_of(batch, row, row + 1))}


def explained(batch: Batch) -> list[Piece]:
    """Return a batch of one graph as text: nodes, edges, the seed."""
    edges = [f"{a}-{b}" for a, b in batch["edge_index"].T.tolist() if a < b]
    seed = batch["is_seed"].nonzero().reshape(-1).tolist()
    shown = " ".join(edges[:12]) + (" ..." if len(edges) > 12 else "")
    text = f"{int(batch['sizes'][0])} nodes, {len(edges)} edges: {shown}"
    return [Piece(text), Piece(f" seed {seed[0]}", "special")] if seed else [Piece(text)]


class Held(Collection):
    """Graphs that are there already: what a stage saved or put together."""

    def __init__(self, positions: int, network: Graphs, samples: Graphs) -> None:
        super().__init__(positions)
        self._network, self._samples = network, samples

    @property
    def fingerprint(self) -> str:
        """Digits of settings and contents."""
        text = f"{self._positions} {self._network.digest()} {self._samples.digest()}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def network(self) -> Graphs:
        """Return the graphs."""
        return self._network

    def samples(self) -> Graphs:
        """Return the samples."""
        return self._samples


def graphs_of(data: Any, name: str) -> tuple[Graphs, Graphs]:
    """Return (network, samples) of any data that yields graphs: ours, or another plugin's whose batches hold `edge_index`.

    data: prepared. Raises UsageError for data that holds no graphs.
    """
    if isinstance(data, YieldsGraphs):
        return data.network(), data.samples()
    fields = set(getattr(data, "batch", {}))
    if "edge_index" not in fields or not fields & {"node_graph", "batch"}:
        raise UsageError(
            f"{name}: expected data that yields graphs, such as w2pgnn/graphs, or batches with edge_index and node_graph; "
            f"its batches hold {', '.join(sorted(fields)) or 'nothing'}."
        )
    found = join([graphs_of_batch(batch) for batch in in_order(data, "train", CHUNK)])
    return found, found
