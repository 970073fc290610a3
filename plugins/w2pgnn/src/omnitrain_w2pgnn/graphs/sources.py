"""From a source's name to its graphs: embedded collections, files, folders and datasets of torch_geometric."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.api import reading
from omnitrain.errors import DataError, Unreachable, UsageError, nearest
from omnitrain_w2pgnn.configs.data import MOLECULES, GraphsConfig
from omnitrain_w2pgnn.configs.places import data_folders
from omnitrain_w2pgnn.graphs.classes import classes_of_numbers
from omnitrain_w2pgnn.graphs.edgelists import Layout, read_edge_list
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED, with_degree_labels
from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.fields import rows
from omnitrain_w2pgnn.graphs.matrices import looks_like_metis, read_metis
from omnitrain_w2pgnn.graphs.molecules import read_smiles, scaffold_groups
from omnitrain_w2pgnn.graphs.nodelabels import labelled
from omnitrain_w2pgnn.graphs.readers import read_gin_text, read_planetoid
from omnitrain_w2pgnn.graphs.structure import Graphs, Ints, from_edges
from omnitrain_w2pgnn.graphs.tudatasets import read_tu_folder

QUARTILES = "degree-quartiles"
PYG = "pyg:"
PLANETOID = "planetoid/"


@dataclass(frozen=True)
class Source:
    """What was read. skipped: malformed records that were left out; first_fault: the first of them.

    notes: what was taken of the file that is not plain from it.
    """

    graphs: Graphs
    skipped: int = 0
    first_fault: str = ""
    notes: tuple[str, ...] = ()


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
    return Source(graphs, faults.count, faults.first, tuple(faults.notes))


def _read(config: GraphsConfig, faults: Faults, generator: np.random.Generator) -> Graphs:
    source = config.path
    kind: str = config.format
    if kind in ("auto", "pyg") and source.startswith(PYG):
        return read_pyg(source.removeprefix(PYG), config.root, faults)
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
        return read_tu_folder(path, faults)
    if kind == "metis":
        return read_metis(path)
    if kind == "smiles":
        graphs, scaffolds = read_smiles(path, faults)
        groups = scaffold_groups(scaffolds, config.scaffold_parts, generator)
        return replace(graphs, groups=groups, names=tuple(f"scaffolds {i}" for i in range(int(groups.max()) + 1)))
    if kind == "edge-list":
        return _edge_list(path, config, faults)
    raise UsageError(f"The source {source!r} is not of the format {kind}; set format to what the file is.")


def _edge_list(path: Path, config: GraphsConfig, faults: Faults) -> Graphs:
    columns = None if config.columns is None else tuple(config.columns)
    layout = Layout(columns, config.header, config.ids, any_shape=config.format == "edge-list")
    graphs, ids = read_edge_list(path, faults, config.keep_weights, layout=layout)
    if config.labels in (None, QUARTILES):
        return graphs
    assert config.labels is not None
    return labelled(graphs, ids, find(config.labels, config.root), faults)


def _guess(path: Path) -> str:
    """Tell the format by the name, and for text by its first lines."""
    if path.is_dir():
        return "tu-folder"
    if path.suffix in MOLECULES:
        return "smiles"
    if path.suffix in (".edgelist", ".edges", ".csv", ".tsv", ".mtx"):
        return "edge-list"
    first = [fields for _, fields in islice(rows(path), 2)]
    if [len(fields) for fields in first] == [1, 2]:
        return "gin-text"
    return "metis" if looks_like_metis(path) else "edge-list"


def quiet_geometric() -> Any:
    """Import torch_geometric, whose release 2.8 scripts a class on import, about which torch 2.13 warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch_geometric.datasets  # type: ignore[import-untyped, unused-ignore]
        import torch_geometric.nn  # type: ignore[import-untyped, unused-ignore]
    return torch_geometric


def read_pyg(name: str, root: str | None, faults: Faults | None = None) -> Graphs:
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
    return from_geometric([found[i] for i in range(len(found))], faults)


def from_geometric(data: list[Any], faults: Faults | None = None) -> Graphs:
    """Return torch_geometric Data objects as one collection, with labels of the graphs, or of a single graph's nodes.

    faults: takes notes on labels that are no classes; without it they raise DataError. Raises DataError for an edge of a
    node that a graph does not have.
    """
    sizes, parts = [], [np.empty((0, 2), np.int64)]
    base = 0
    for number, graph in enumerate(data):
        with reading(f"graph {number}", "a graph with num_nodes and edge_index"):
            size = int(graph.num_nodes)
            edges = np.asarray(graph.edge_index.T, np.int64).reshape(-1, 2)
        if len(edges) and (int(edges.min()) < 0 or int(edges.max()) >= size):
            raise DataError(f"graph {number}: edge_index names the node {int(edges.max())}; it has {size} nodes, from 0.")
        sizes.append(size)
        parts.append(edges + base)
        base += size
    labels, of_nodes = _geometric_labels(data, sizes, faults)
    return from_edges(sizes, np.concatenate(parts), labels=labels, node_labels=of_nodes)


def _geometric_labels(data: list[Any], sizes: list[int], faults: Faults | None) -> tuple[Ints | None, bool]:
    """Return (labels, whether they are of nodes); None where there are none, or what is there is no class."""
    given = [getattr(d, "y", None) for d in data]
    if not data or any(y is None for y in given):
        return None, False
    flat = [np.asarray(y).reshape(-1) for y in given]
    of_nodes = len(data) == 1 and len(flat[0]) == sizes[0]
    heard = Faults("refuse") if faults is None else faults
    labels = None
    if of_nodes or all(len(y) == 1 for y in flat):
        labels = classes_of_numbers(np.concatenate(flat), "y", heard)
    else:
        heard.say(f"y: {max(len(y) for y in flat)} values a graph are no one class; taken as none")
    if labels is None and faults is None:
        raise DataError(f"{heard.notes[-1]}. Delete y, or make classes of it: whole numbers from 0, one a graph or node.")
    return labels, of_nodes and labels is not None
