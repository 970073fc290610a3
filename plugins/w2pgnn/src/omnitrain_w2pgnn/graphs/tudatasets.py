"""TUDataset folders: files that belong together are compared before they are taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omnitrain.api import shown
from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.classes import classes_of_texts
from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.fields import bounded, column
from omnitrain_w2pgnn.graphs.structure import Graphs, Ints, from_edges


def read_tu_folder(folder: Path, faults: Faults) -> Graphs:
    """Read NAME_A.txt, _graph_indicator.txt and, where they are there, _graph_labels.txt and _node_labels.txt.

    An archive that was unpacked one folder deeper is found there. Raises DataError that names file and line.
    """
    edge_file = _edge_file(folder, faults)
    stem = edge_file.name.removesuffix("_A.txt")
    owner = _owners(edge_file.with_name(f"{stem}_graph_indicator.txt"))
    graphs = int(owner[-1])
    edges = _edges(edge_file, owner)
    labels = _labels(edge_file.with_name(f"{stem}_graph_labels.txt"), graphs, faults)
    tags = _tags(edge_file.with_name(f"{stem}_node_labels.txt"), len(owner), faults)
    return from_edges(np.bincount(owner - 1), edges, labels=labels, attributes=tags)


def _edge_file(folder: Path, faults: Faults) -> Path:
    def found(place: Path) -> list[Path]:
        return sorted(p for p in place.glob("*_A.txt") if not p.name.startswith("."))

    files = found(folder)
    if not files:
        inner = [p for p in sorted(folder.iterdir()) if p.is_dir() and found(p)]
        files = [file for place in inner for file in found(place)]
        if len(files) == 1:
            faults.say(f"{folder}: the data set lies one folder deeper, in {files[0].parent.name}")
    if len(files) != 1:
        raise DataError(f"{folder} holds {len(files)} files *_A.txt; expected one, of a TUDataset.")
    return files[0]


def _whole(path: Path, number: int, fields: list[str], width: int) -> list[int]:
    try:
        if len(fields) < width:
            raise ValueError
        return [bounded(f) for f in fields[:width]]
    except ValueError:
        raise DataError(f"{path}:{number}: expected {width} whole numbers, found {shown(' '.join(fields))!r}.") from None


def _owners(path: Path) -> Ints:
    """Return the graph of each node, from 1."""
    owner, before = [], 0
    for number, fields in column(path):
        (graph,) = _whole(path, number, fields[:1], 1)
        if not before <= graph <= before + 1 or graph < 1:
            expected = f"{before} or {before + 1}" if before else "1"
            raise DataError(
                f"{path}:{number}: graph {graph}; expected {expected}: numbers from 1 in ascending order, none without nodes."
            )
        owner.append(graph)
        before = graph
    if not owner:
        raise DataError(f"{path} is empty; expected the graph of each node.")
    return np.array(owner, np.int64)


def _edges(path: Path, owner: Ints) -> Ints:
    """Return pairs of nodes from 0, int64[edges, 2]; both ends of each lie in one graph."""
    found = column(path)
    pairs = np.array([_whole(path, number, fields, 2) for number, fields in found], np.int64).reshape(-1, 2)
    outside = np.flatnonzero((pairs < 1).any(axis=1) | (pairs > len(owner)).any(axis=1))
    if len(outside):
        a, b = pairs[outside[0]]
        raise DataError(f"{path}:{found[outside[0]][0]}: the edge {a}, {b} names a node outside of 1 to {len(owner)}.")
    graphs = owner[pairs - 1]
    across = np.flatnonzero(graphs[:, 0] != graphs[:, 1])
    if len(across):
        (a, b), (first, second) = pairs[across[0]], graphs[across[0]]
        raise DataError(
            f"{path}:{found[across[0]][0]}: the edge {a}, {b} joins graph {first} and graph {second}; expected nodes numbered "
            "through all graphs, not anew in each."
        )
    if _begins_anew(pairs, owner):
        raise DataError(
            f"{path}: all edges are of the nodes 1 to {int(pairs.max())} of {len(owner)}; expected nodes "
            "numbered through all graphs, not anew in each."
        )
    return pairs - 1


def _begins_anew(pairs: Ints, owner: Ints) -> bool:
    """Whether no edge is of a node behind those of the first graph, though there are more: each graph numbers its own."""
    if not len(pairs) or owner[-1] == 1 or int(pairs.max()) > int(np.bincount(owner).max()):
        return False
    return len(np.unique(pairs, axis=0)) < len(pairs) or int(owner[-1]) > 2


def _labels(path: Path, graphs: int, faults: Faults) -> Ints | None:
    if not path.exists():
        faults.say(f"{path} is not there, so that the graphs have no labels")
        return None
    found = column(path)
    if len(found) != graphs:
        raise DataError(f"{path}: {len(found)} labels; there are {graphs} graphs in the graph_indicator file.")
    if len(found[0][1]) > 1:
        faults.say(f"{path}: {len(found[0][1])} labels a graph are no one class; taken as none")
        return None
    return classes_of_texts([fields[0] for _, fields in found], str(path), faults)


def _tags(path: Path, nodes: int, faults: Faults) -> Ints | None:
    if not path.exists():
        return None
    found = column(path)
    if len(found) != nodes:
        raise DataError(f"{path}: {len(found)} lines; there are {nodes} nodes in the graph_indicator file.")
    if len(found[0][1]) > 1:
        faults.say(f"{path}: {len(found[0][1])} columns, of which the first is taken as the type of a node")
    return np.array([_whole(path, number, fields[:1], 1)[0] for number, fields in found], np.int64)
