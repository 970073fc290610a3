"""Data `w2pgnn/graphs` and `w2pgnn/saved`: collections of graphs, and the samples that graphons are estimated from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from omnitrain.api import Batch, Context, Fields, Piece, Prepares, numpy_generator
from omnitrain.errors import DataError, EnvironmentFault, UsageError
from omnitrain_w2pgnn.configs.data import GraphsConfig, SavedGraphsConfig
from omnitrain_w2pgnn.graphs.egos import ego_networks, sample_seeds
from omnitrain_w2pgnn.graphs.sources import read_source
from omnitrain_w2pgnn.graphs.structure import Graphs, join
from omnitrain_w2pgnn.graphs.tensors import SINGLE, cuts, graphs_of_batch, rows_of, structural

ARRAYS = ("offsets", "indptr", "indices", "weights", "labels", "attributes", "roots", "groups")
FILE, CONTENT = "graphs.npz", "content.json"


@runtime_checkable
class YieldsGraphs(Protocol):
    """Data that holds graphs."""

    def network(self) -> Graphs:
        """Return the graphs as they were read: one big graph, or many."""

    def samples(self) -> Graphs:
        """Return the samples that stand for the data: ego networks or whole graphs."""


class _Collection:
    """What data of graphs has in common: samples as rows of batches."""

    batch: Fields = SINGLE
    fingerprint = ""

    def __init__(self, positions: int) -> None:
        self._positions = positions

    def network(self) -> Graphs:
        raise NotImplementedError

    def samples(self) -> Graphs:
        raise NotImplementedError

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


class GraphsData(_Collection):
    """A source's graphs. They are read when they are needed first."""

    def __init__(self, config: GraphsConfig, context: Context) -> None:
        super().__init__(config.positions)
        self.config = config
        self._seed = context.seed("samples")
        self._groups = context.seed("scaffolds")
        self._network: Graphs | None = None
        self._samples: Graphs | None = None
        self.skipped, self.first_fault = 0, ""

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        """Digits of the settings, the seed of the draws and the contents."""
        text = f"{self.config.model_dump_json()} {self._seed} {self._groups} {self.network().digest()}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def prepare(self, workspace: Path, context: Context) -> None:
        """Read the graphs."""
        self.samples()

    def network(self) -> Graphs:
        """Return the graphs as they were read.

        Raises DataError for malformed contents, Unreachable where the source is not there.
        """
        if self._network is None:
            found = read_source(self.config, numpy_generator(self._groups))
            self._network, self.skipped, self.first_fault = found.graphs, found.skipped, found.first_fault
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


class SavedGraphs(_Collection):
    """Graphs that a stage saved."""

    def __init__(self, config: SavedGraphsConfig) -> None:
        super().__init__(config.positions)
        self.config = config
        self._network, self._samples = (load_graphs(Path(config.path) / name) for name in ("network", "samples"))
        text = f"{config.positions} {self._network.digest()} {self._samples.digest()}"
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()[:32]

    def network(self) -> Graphs:
        """Return the saved graphs."""
        return self._network

    def samples(self) -> Graphs:
        """Return the saved samples."""
        return self._samples


def save_graphs(graphs: Graphs, folder: Path) -> None:
    """Write a collection as arrays and plain text."""
    import json

    folder.mkdir(parents=True)
    arrays = {name: getattr(graphs, name) for name in ARRAYS if getattr(graphs, name) is not None}
    np.savez_compressed(folder / FILE, **arrays)
    content = {"node_labels": graphs.node_labels, "names": list(graphs.names)}
    (folder / CONTENT).write_text(json.dumps(content), "utf-8")


def load_graphs(folder: Path) -> Graphs:
    """Read a collection back.

    Raises EnvironmentFault where it is damaged.
    """
    import json
    from zipfile import BadZipFile

    try:
        content = json.loads((folder / CONTENT).read_text("utf-8"))
        with np.load(folder / FILE, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ARRAYS if name in stored}
        return Graphs(**arrays, node_labels=bool(content["node_labels"]), names=tuple(content["names"]))
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise EnvironmentFault(
            f"The graphs in {folder} can't be read: {error}; run the stage that saved them again."
        ) from error


def graphs_of(data: Any, name: str, context: Context) -> tuple[Graphs, Graphs]:
    """Return (network, samples) of any data that yields graphs: ours, or another plugin's whose batches hold `edge_index`.

    Raises UsageError for data that holds no graphs.
    """
    if isinstance(data, Prepares):
        data.prepare(context.workspace, context)
    if isinstance(data, YieldsGraphs):
        return data.network(), data.samples()
    fields = set(getattr(data, "batch", {}))
    if "edge_index" not in fields or not fields & {"node_graph", "batch"}:
        raise UsageError(
            f"{name}: expected data that yields graphs, such as w2pgnn/graphs, or batches with edge_index and node_graph; "
            f"its batches hold {', '.join(sorted(fields)) or 'nothing'}."
        )
    examples = data.examples("train")
    chunk, parts, held = 256, [], []
    for example in examples:
        held.append(example)
        if len(held) == chunk:
            parts.append(graphs_of_batch(data.collate(held)))
            held = []
    if held:
        parts.append(graphs_of_batch(data.collate(held)))
    found = join(parts)
    return found, found


def build_graphs(config: GraphsConfig, context: Context) -> GraphsData:
    """Make the data `w2pgnn/graphs`."""
    return GraphsData(config, context)


def build_saved(config: SavedGraphsConfig, context: Context) -> SavedGraphs:
    """Make the data `w2pgnn/saved`."""
    return SavedGraphs(config)
