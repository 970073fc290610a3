"""Readers: edge lists, GIN text files, TUDataset folders, Planetoid files. A malformed line is named with its number."""

from __future__ import annotations

import io
import pickle
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.structure import Graphs, Ints, from_edges

COMMENTS = ("#", "%")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of a text file; blanks, commas and tabs separate, comments and empty lines are left out."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                fields = line.replace(",", " ").split()
                if fields and not fields[0].startswith(COMMENTS):
                    yield number, fields
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; give the path of a file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read as text: {error}.") from error


class Faults:
    """Counts malformed records; the first is named. policy: "refuse" raises at once, "skip" leaves the record out."""

    def __init__(self, policy: str) -> None:
        self.policy, self.count, self.first = policy, 0, ""

    def found(self, message: str) -> None:
        """Note a malformed record. Raises DataError under "refuse"."""
        if self.policy == "refuse":
            raise DataError(f"{message} Correct it, or set malformed: skip.")
        self.count += 1
        self.first = self.first or message


def read_edge_list(path: Path, faults: Faults, keep_weights: bool = False, duplicates: str = "once") -> tuple[Graphs, Ints]:
    """Read "id id" or "id id weight" lines as one undirected graph; return it and the ids by node number.

    Ids are any whole numbers, numbered in order of appearance. Directed, doubled and looped edges become simple ones.
    keep_weights: take the third column as weights. Raises DataError that names file and line.
    """
    pairs, weights = [], []
    for number, fields in _lines(path):
        try:
            if len(fields) not in (2, 3):
                raise ValueError(f"{len(fields)} fields")
            first, second = int(fields[0]), int(fields[1])
            weight = float(fields[2]) if len(fields) == 3 else 1.0
            if not np.isfinite(weight) or (keep_weights and weight < 0):
                raise ValueError(f"weight {fields[2]}")
        except ValueError as error:
            faults.found(
                f"{path}:{number}: expected two whole numbers and at most a weight, found {' '.join(fields)!r} ({error})."
            )
            continue
        pairs.append((first, second))
        weights.append(weight)
    if not pairs:
        raise DataError(f"{path} holds no edges; expected lines of two node ids.")
    numbers, ids = _numbered(np.array(pairs, np.int64).ravel())
    values = np.array(weights) if keep_weights else None
    return from_edges([len(ids)], numbers.reshape(-1, 2), values, duplicates), ids


def _numbered(values: Ints) -> tuple[Ints, Ints]:
    """Number values in order of appearance; return the numbers and the values by number."""
    unique, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place[inverse], unique[order]


def read_node_labels(path: Path, faults: Faults) -> dict[int, int]:
    """Read "node label" lines, whole numbers, with or without a header line."""
    labels: dict[int, int] = {}
    for position, (number, fields) in enumerate(_lines(path)):
        try:
            node, label = (int(f) for f in fields)
        except ValueError:
            if position > 0:
                faults.found(f"{path}:{number}: expected a node id and a label, found {' '.join(fields)!r}.")
            continue
        labels[node] = label
    if not labels:
        raise DataError(f"{path} holds no labels; expected lines of a node id and a label.")
    return labels


def with_node_labels(graphs: Graphs, ids: Ints, labels: dict[int, int]) -> Graphs:
    """Return the graph with a label for each node, -1 where there is none; labelled nodes without edges are added."""
    known = set(ids.tolist())
    extra = [node for node in labels if node not in known]
    values = np.array([labels.get(node, -1) for node in [*ids.tolist(), *extra]], np.int64)
    nodes = len(values)
    indptr = np.concatenate([graphs.indptr, np.full(len(extra), graphs.indptr[-1])])
    return Graphs(np.array([0, nodes]), indptr, graphs.indices, graphs.weights, values, node_labels=True)


def read_gin_text(path: Path, faults: Faults) -> Graphs:
    """Read the GIN text format: the number of graphs; for each "n label", then n lines "tag degree neighbour ...", 0-based.

    Raises DataError that names file and line; a damaged graph can only be skipped when its lines are all there.
    """
    lines = _lines(path)
    number, fields = next(lines, (1, []))
    if len(fields) != 1 or not fields[0].isdigit():
        raise DataError(f"{path}:{number}: expected the number of graphs, found {' '.join(fields)!r}.")
    sizes: list[int] = []
    labels: list[int] = []
    tags: list[int] = []
    edges: list[tuple[int, int]] = []
    for _ in range(int(fields[0])):
        number, fields = next(lines, (number + 1, []))
        try:
            size, label = (int(f) for f in fields)
        except ValueError:
            raise DataError(f"{path}:{number}: expected 'nodes label', found {' '.join(fields)!r}.") from None
        found = _gin_nodes(path, lines, size, sum(sizes), faults)
        if found is not None:
            sizes.append(size)
            labels.append(label)
            tags += found[0]
            edges += found[1]
    classes = {label: i for i, label in enumerate(sorted(set(labels)))}
    return from_edges(
        sizes, edges, labels=np.array([classes[label] for label in labels], np.int64), attributes=np.array(tags, np.int64)
    )


def _gin_nodes(
    path: Path, lines: Iterator[tuple[int, list[str]]], size: int, base: int, faults: Faults
) -> tuple[list[int], list[tuple[int, int]]] | None:
    """Return (tags, edges) of one graph, or None where a line is malformed and skipped with its graph."""
    tags, edges, broken = [], [], False
    for node in range(size):
        number, fields = next(lines, (0, []))
        if not number:
            raise DataError(f"{path}: ends inside a graph; expected {size - node} more lines.")
        try:
            tag, degree, *neighbours = (int(f) for f in fields)
            if degree < 0 or len(neighbours) < degree or any(not 0 <= v < size for v in neighbours[:degree]):
                raise ValueError
        except ValueError:
            faults.found(f"{path}:{number}: expected 'tag degree neighbours' below {size}, found {' '.join(fields)!r}.")
            broken = True
            continue
        tags.append(tag)
        edges += [(base + node, base + v) for v in neighbours[:degree]]
    return None if broken else (tags, edges)


def _column(path: Path, width: int) -> Ints:
    rows = []
    for number, fields in _lines(path):
        try:
            rows.append([int(f) for f in fields[:width]])
            if len(fields) < width:
                raise ValueError
        except ValueError:
            raise DataError(f"{path}:{number}: expected {width} whole numbers, found {' '.join(fields)!r}.") from None
    return np.array(rows, np.int64).reshape(-1, width)


def read_tu_folder(folder: Path) -> Graphs:
    """Read a TUDataset folder: NAME_A.txt, _graph_indicator.txt, _graph_labels.txt and, if there, _node_labels.txt."""
    found = sorted(folder.glob("*_A.txt"))
    if len(found) != 1:
        raise DataError(f"{folder} holds {len(found)} files *_A.txt; expected one, of a TUDataset.")
    stem = found[0].name.removesuffix("_A.txt")

    def at(part: str) -> Path:
        return folder / f"{stem}_{part}.txt"

    owner = _column(at("graph_indicator"), 1)[:, 0]
    if bool((np.diff(owner) < 0).any()) or owner.min(initial=1) < 1:
        raise DataError(f"{at('graph_indicator')}: expected graph numbers from 1 in ascending order.")
    labels = _column(at("graph_labels"), 1)[:, 0]
    edges = _column(found[0], 2) - 1
    if bool((edges < 0).any()) or bool((edges >= len(owner)).any()):
        raise DataError(f"{found[0]}: an edge names a node outside of 1 to {len(owner)}.")
    tags = _column(at("node_labels"), 1)[:, 0] if at("node_labels").exists() else None
    return from_edges(
        np.bincount(owner - 1, minlength=len(labels)), edges, labels=np.unique(labels, return_inverse=True)[1], attributes=tags
    )


class _PlainUnpickler(pickle.Unpickler):
    """Loads numpy arrays, lists and dictionaries, and nothing else: a pickle can otherwise run any code."""

    _ALLOWED: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("collections", "defaultdict"),
        ("builtins", "list"),
        ("__builtin__", "list"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise DataError(f"The file would load {module}.{name}; only arrays, lists and dictionaries are taken.")
        if module.startswith("numpy") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        return {"ndarray": np.ndarray, "dtype": np.dtype, "defaultdict": defaultdict, "list": list}[name]


def _plain_pickle(path: Path) -> Any:
    try:
        return _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except (OSError, pickle.UnpicklingError, EOFError, AttributeError, IndexError, ValueError) as error:
        raise DataError(f"{path} can't be read as a Planetoid file: {error}.") from error


def read_planetoid(folder: Path, name: str) -> Graphs:
    """Read structure and labels of the Planetoid files ind.NAME.*; features stay unread, the method looks at structure only.

    Nodes that test.index leaves out are isolated, label -1. The pickles go through a loader that takes plain data only.
    """
    stem = f"ind.{name.lower()}"
    graph = _plain_pickle(folder / f"{stem}.graph")
    ally, ty = (np.asarray(_plain_pickle(folder / f"{stem}.{part}")) for part in ("ally", "ty"))
    order = _column(folder / f"{stem}.test.index", 1)[:, 0]
    nodes = max(len(graph), int(order.max()) + 1)
    labels = np.full(nodes, -1, np.int64)
    labels[: len(ally)] = np.where(ally.sum(axis=1) > 0, ally.argmax(axis=1), -1)
    labels[order] = np.where(ty.sum(axis=1) > 0, ty.argmax(axis=1), -1)
    edges = [(int(a), int(b)) for a, others in graph.items() for b in others]
    return from_edges([nodes], edges, labels=labels, node_labels=True)


def degree_quartiles(graphs: Graphs) -> Ints:
    """Return the quartile 0 to 3 of each node's degree within its graph, int64[nodes], ties in one class."""
    labels = np.empty(graphs.nodes, np.int64)
    degrees = graphs.degrees
    for first, last in zip(graphs.offsets[:-1], graphs.offsets[1:], strict=True):
        own = degrees[first:last]
        labels[first:last] = np.searchsorted(np.quantile(own, [0.25, 0.5, 0.75]), own, side="left") if len(own) else 0
    return labels
