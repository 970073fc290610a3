"""Data `w2pgnn/saved`: graphs that a stage saved."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from omnitrain.api import Context
from omnitrain.engine import write_json
from omnitrain.errors import EnvironmentFault
from omnitrain_w2pgnn.configs.data import SavedConfig
from omnitrain_w2pgnn.data.collection import Held
from omnitrain_w2pgnn.graphs.structure import Graphs

ARRAYS = ("offsets", "indptr", "indices", "weights", "labels", "attributes", "roots", "groups")
FILE, CONTENT = "graphs.npz", "content.json"


def save_graphs(graphs: Graphs, folder: Path) -> None:
    """Write a collection as arrays and plain text."""
    folder.mkdir(parents=True)
    arrays = {name: getattr(graphs, name) for name in ARRAYS if getattr(graphs, name) is not None}
    np.savez_compressed(folder / FILE, **arrays)
    content = {"node_labels": graphs.node_labels, "names": list(graphs.names)}
    write_json(folder / CONTENT, content)


def load_graphs(folder: Path) -> Graphs:
    """Read a collection back.

    Raises EnvironmentFault where it is damaged.
    """
    try:
        content = json.loads((folder / CONTENT).read_text("utf-8"))
        with np.load(folder / FILE, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ARRAYS if name in stored}
        return Graphs(**arrays, node_labels=bool(content["node_labels"]), names=tuple(content["names"]))
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise EnvironmentFault(
            f"The graphs in {folder} can't be read: {error}; run the stage that saved them again."
        ) from error


def build(config: SavedConfig, context: Context) -> Held:
    """Make the data `w2pgnn/saved`."""
    network, samples = (load_graphs(Path(config.path) / name) for name in ("network", "samples"))
    return Held(config.positions, network, samples)
