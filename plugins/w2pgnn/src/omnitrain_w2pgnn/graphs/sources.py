"""From a source's name to its graphs: embedded collections, files, folders and datasets of torch_geometric."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.errors import Unreachable, UsageError, nearest
from omnitrain_w2pgnn.configs.data import GraphsConfig
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED, with_degree_labels
from omnitrain_w2pgnn.graphs.molecules import read_smiles, scaffold_groups
from omnitrain_w2pgnn.graphs.readers import (
    Faults,
    read_edge_list,
    read_gin_text,
    read_node_labels,
    read_planetoid,
    read_tu_folder,
    with_node_labels,
)
from omnitrain_w2pgnn.graphs.structure import Graphs, Ints, from_edges

QUARTILES = "degree-quartiles"
PYG = "pyg:"
PLANETOID = "planetoid/"


@dataclass(frozen=True)
class Source:
    """What was read. skipped: malformed records that were left out; first_fault: the first of them."""

    graphs: Graphs
    skipped: int = 0
    first_fault: str = ""


def data_folders(root: str | None) -> list[Path]:
    """Return the folders that relative sources are looked for in, besides the working directory."""
    if root is not None:
        return [Path(root)]
    own = os.environ.get("OMNITRAIN_DATA")
    named = [Path(own) / "w2pgnn"] if own else []
    return [*named, Path("data/w2pgnn")]


def find(source: str, root: str | None) -> Path:
    """Return the path of a file or folder.

    Raises Unreachable where it is in none of the folders.
    """
    tried = [Path(source), *(folder / source for folder in data_folders(root))]
    for path in tried:
        if path.exists():
            return path
    places = ", ".join(str(path.parent) for path in tried)
    raise Unreachable(
        f"There is no file or folder {source!r} in {places}, nor an embedded collection of that name "
        f"({nearest(source, EMBEDDED)}); put the data there or set root."
    )


def read_source(config: GraphsConfig, generator: np.random.Generator) -> Source:
    """Read the graphs that a source names, with their labels.

    generator: groups the scaffolds of molecules. Raises DataError for malformed contents, Unreachable for absent files.
    """
    faults = Faults(config.malformed)
    graphs = _read(config, faults, generator)
    if config.labels == QUARTILES:
        graphs = with_degree_labels(graphs)
    return Source(graphs, faults.count, faults.first)


def _read(config: GraphsConfig, faults: Faults, generator: np.random.Generator) -> Graphs:
    source = config.path
    kind: str = config.format
    if kind in ("auto", "pyg") and source.startswith(PYG):
        return read_pyg(source.removeprefix(PYG), config.root)
    if kind == "embedded" or (kind == "auto" and source in EMBEDDED):
        if source not in EMBEDDED:
            raise UsageError(f"There is no embedded collection {source!r}. {nearest(source, EMBEDDED)}")
        return EMBEDDED[source]()
    if kind in ("auto", "planetoid") and source.startswith(PLANETOID):
        folder = find(PLANETOID.rstrip("/"), config.root)
        return read_planetoid(folder, source.removeprefix(PLANETOID))
    path = find(source, config.root)
    kind = _guess(path) if kind == "auto" else kind
    if kind == "gin-text":
        return read_gin_text(path, faults)
    if kind == "tu-folder":
        return read_tu_folder(path)
    if kind == "smiles":
        graphs, scaffolds = read_smiles(path, faults)
        groups = scaffold_groups(scaffolds, config.scaffold_parts, generator)
        return replace(graphs, groups=groups, names=tuple(f"scaffolds {i}" for i in range(int(groups.max()) + 1)))
    if kind == "edge-list":
        return _edge_list(path, config, faults)
    raise UsageError(f"The source {source!r} is not of the format {kind}; set format to what the file is.")


def _edge_list(path: Path, config: GraphsConfig, faults: Faults) -> Graphs:
    graphs, ids = read_edge_list(path, faults, config.keep_weights)
    if config.labels in (None, QUARTILES):
        return graphs
    assert config.labels is not None
    return with_node_labels(graphs, ids, read_node_labels(find(config.labels, config.root), faults))


def _guess(path: Path) -> str:
    """Tell the format by the name, and for text by its first lines."""
    if path.is_dir():
        return "tu-folder"
    if path.suffix in (".smi", ".smiles"):
        return "smiles"
    if path.suffix in (".edgelist", ".edges", ".csv", ".tsv"):
        return "edge-list"
    with path.open(encoding="utf-8", errors="replace") as file:
        first = [file.readline().split() for _ in range(2)]
    return "gin-text" if len(first[0]) == 1 and len(first[1]) == 2 else "edge-list"


def quiet_geometric() -> Any:
    """Import torch_geometric, whose release 2.8 scripts a class on import, about which torch 2.13 warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch_geometric.datasets  # type: ignore[import-untyped, unused-ignore]
        import torch_geometric.nn  # type: ignore[import-untyped, unused-ignore]
    return torch_geometric


def read_pyg(name: str, root: str | None) -> Graphs:
    """Read a dataset of torch_geometric, "KarateClub" or "Planetoid/Cora"; it is downloaded where it is not in the root.

    Raises UsageError for an unknown dataset, Unreachable where it can't be had.
    """
    datasets = quiet_geometric().datasets
    family, _, subset = name.partition("/")
    cls = getattr(datasets, family, None)
    if cls is None or family not in datasets.__all__:
        raise UsageError(f"torch_geometric has no dataset {family!r}. {nearest(family, datasets.__all__)}")
    arguments = [] if family == "KarateClub" else [str(data_folders(root)[0] / "pyg" / family)]
    try:
        found = cls(*arguments, *([subset] if subset else []))
    except TypeError as error:
        raise UsageError(f"The dataset {name!r} needs a subset, such as 'pyg:Planetoid/Cora' ({error}).") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise Unreachable(f"The dataset {name!r} of torch_geometric can't be had here: {error}.") from error
    return from_geometric([found[i] for i in range(len(found))])


def from_geometric(data: list[Any]) -> Graphs:
    """Return torch_geometric Data objects as one collection, with labels of the graphs, or of a single graph's nodes."""
    sizes = [int(d.num_nodes) for d in data]
    bases = np.concatenate([[0], np.cumsum(sizes)])
    edges = [np.asarray(d.edge_index.T, np.int64) + base for d, base in zip(data, bases, strict=False)]
    labels: Ints | None = None
    of_nodes = False
    given = [getattr(d, "y", None) for d in data]
    if all(y is not None for y in given):
        flat = [np.asarray(y).reshape(-1) for y in given]
        of_nodes = len(data) == 1 and len(flat[0]) == sizes[0]
        if of_nodes or all(len(y) == 1 for y in flat):
            labels = np.concatenate(flat).astype(np.int64)
    return from_edges(sizes, np.concatenate([np.empty((0, 2), np.int64), *edges]), labels=labels, node_labels=of_nodes)
