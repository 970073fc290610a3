"""Data `w2pgnn/saved`: graphs that a stage saved."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from omnitrain.api import Context
from omnitrain.errors import EnvironmentFault
from omnitrain_w2pgnn.configs.data import SavedGraphsConfig
from omnitrain_w2pgnn.data.collection import Collection
from omnitrain_w2pgnn.graphs.structure import Graphs

ARRAYS = ("offsets", "indptr", "indices", "weights", "labels", "attributes", "roots", "groups")
FILE, CONTENT = "graphs.npz", "content.json"


class SavedGraphs(Collection):
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


def build(config: SavedGraphsConfig, context: Context) -> SavedGraphs:
    """Make the data `w2pgnn/saved`."""
    return SavedGraphs(config)
