"""Readers: GIN text files and Planetoid files. A malformed line is named with its number."""

from __future__ import annotations

import io
import pickle
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from omnitrain.api import reading, shown
from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.fields import bounded, column, rows
from omnitrain_w2pgnn.graphs.structure import Graphs, Ints, from_edges


def read_gin_text(path: Path, faults: Faults) -> Graphs:
    """Read the GIN text format: the number of graphs; for each "n label", then n lines "tag degree neighbour ...", 0-based.

    Raises DataError that names file and line; a damaged graph can only be skipped when its lines are all there.
    """
    lines = rows(path)
    number, fields = next(lines, (1, []))
    try:
        (count,) = (bounded(f) for f in fields)
    except ValueError:
        raise DataError(f"{path}:{number}: expected the number of graphs, found {shown(' '.join(fields))!r}.") from None
    sizes: list[int] = []
    labels: list[int] = []
    tags: list[int] = []
    edges: list[tuple[int, int]] = []
    nodes = 0
    for _ in range(count):
        number, fields = next(lines, (number + 1, []))
        try:
            size, label = (bounded(f) for f in fields)
            if size < 0:
                raise ValueError
        except ValueError:
            raise DataError(f"{path}:{number}: expected 'nodes label', found {shown(' '.join(fields))!r}.") from None
        found = _gin_nodes(path, lines, size, nodes, faults)
        if found is not None:
            sizes.append(size)
            nodes += size
            labels.append(label)
            tags += found[0]
            edges += found[1]
    number, fields = next(lines, (0, []))
    if number:
        raise DataError(f"{path}:{number}: expected the end behind {count} graphs, found {shown(' '.join(fields))!r}.")
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
            tag, degree = bounded(fields[0]), bounded(fields[1])
            # What follows the neighbours are attributes of the node, which structure does without.
            neighbours = [bounded(f) for f in fields[2 : 2 + max(degree, 0)]]
            if degree < 0 or len(neighbours) < degree or any(not 0 <= v < size for v in neighbours):
                raise ValueError
        except (ValueError, IndexError):
            found = shown(" ".join(fields))
            faults.found(f"{path}:{number}: expected 'tag degree neighbours' below {size}, found {found!r}.")
            broken = True
            continue
        tags.append(tag)
        edges += [(base + node, base + v) for v in neighbours]
    return None if broken else (tags, edges)


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
            named = shown(f"{module}.{name}")
            raise DataError(f"The file would load {named}; only arrays, lists and dictionaries are taken.")
        if module.startswith("numpy") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        return {"ndarray": np.ndarray, "dtype": np.dtype, "defaultdict": defaultdict, "list": list}[name]


def _plain_pickle(path: Path) -> Any:
    with reading(path, "a Planetoid file"):
        return _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()


def read_planetoid(folder: Path, name: str) -> Graphs:
    """Read structure and labels of the Planetoid files ind.NAME.*; features stay unread, the method looks at structure only.

    Nodes that test.index leaves out are isolated, label -1. The pickles go through a loader that takes plain data only.
    """
    stem = f"ind.{name.lower()}"
    graph = _plain_pickle(folder / f"{stem}.graph")
    ally, ty = (np.asarray(_plain_pickle(folder / f"{stem}.{part}")) for part in ("ally", "ty"))
    index = folder / f"{stem}.test.index"
    with reading(folder, f"the files of {stem}"):
        order = np.array([bounded(fields[0]) for _, fields in column(index)], np.int64)
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
