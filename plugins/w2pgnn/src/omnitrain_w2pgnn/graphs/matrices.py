"""MatrixMarket's coordinate files and METIS's adjacency lists: text whose first numbers are sizes, no edge."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from omnitrain.api import shown, text_lines
from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.fields import bounded, rows
from omnitrain_w2pgnn.graphs.structure import Graphs, from_edges

NUMBERS = ("pattern", "real", "integer")


def read_matrix_market(
    path: Path, banner: Sequence[str], faults: Faults, keep_weights: bool, duplicates: str
) -> tuple[Graphs, list[int]]:
    """Read a square sparse matrix as the adjacency of one graph; return it and the ids, 1 to the number of rows.

    banner: the words of the first line. Raises DataError that names the line, and where entries are missing.
    """
    if len(banner) < 4 or banner[1:3] != ["matrix", "coordinate"] or banner[3] not in NUMBERS:
        raise DataError(
            f"{path}:1: expected 'matrix coordinate' with {', '.join(NUMBERS)}, found {shown(' '.join(banner[1:]))!r}."
        )
    lines = rows(path)
    number, fields = next(lines, (1, []))
    try:
        size, other, count = (bounded(f) for f in fields)
    except ValueError:
        raise DataError(f"{path}:{number}: expected rows, columns and entries, found {shown(' '.join(fields))!r}.") from None
    if size != other or size < 1:
        raise DataError(f"{path}:{number}: a matrix of {size} rows and {other} columns is no graph's adjacency.")
    edges: list[tuple[int, int]] = []
    weights: list[float] = []
    seen = 0
    for number, fields in lines:
        seen += 1
        try:
            first, second = bounded(fields[0]), bounded(fields[1])
            weight = 1.0 if banner[3] == "pattern" else float(fields[2])
            if min(first, second) < 1 or max(first, second) > size or not np.isfinite(weight):
                raise ValueError
            if (keep_weights and weight < 0) or len(fields) != (2 if banner[3] == "pattern" else 3):
                raise ValueError
        except (ValueError, IndexError):
            wanted = "row and column" if banner[3] == "pattern" else "row, column and weight"
            faults.found(f"{path}:{number}: expected {wanted}, from 1 to {size}, found {shown(' '.join(fields))!r}.")
            continue
        edges.append((first - 1, second - 1))
        weights.append(weight)
    if seen != count:
        raise DataError(f"{path}: {seen} entries; its first lines say {count}.")
    faults.say(f"{path}: a MatrixMarket file of {size} nodes and {count} entries")
    values = np.array(weights) if keep_weights else None
    return from_edges([size], np.array(edges, np.int64).reshape(-1, 2), values, duplicates), list(range(1, size + 1))


def _adjacency(path: Path) -> list[tuple[int, list[str]]]:
    """Return all lines but comments: an empty one is a node without neighbours."""
    found = [(number, line.split()) for number, line in text_lines(path) if not line.lstrip().startswith("%")]
    while found and not found[-1][1] and found[0][1][:1] != [str(len(found) - 1)]:
        found.pop()
    return found


def looks_like_metis(path: Path) -> bool:
    """Whether a file is a whole METIS file without weights, or with a format: else its first line is an edge of a list."""
    number, first = next(rows(path), (0, []))
    if len(first) not in (2, 3, 4) or not all(f.isascii() and f.isdigit() and len(f) < 10 for f in first):
        return False
    lines = int(first[0]) + 1
    if sum(1 for _ in islice(text_lines(path), lines + number - 1)) < lines:
        return False
    try:
        graphs = read_metis(path)
    except DataError:
        return False
    return len(first) > 2 or len(graphs.indices) == 2 * int(first[1])


def read_metis(path: Path) -> Graphs:
    """Read METIS's format: "nodes edges [format [weights]]", then the neighbours of each node from 1, one line a node.

    Weights of edges are left out, as in edge lists. Raises DataError that names the line.
    """
    lines = _adjacency(path)
    number, head = lines[0] if lines else (1, [])
    try:
        size, count = bounded(head[0]), bounded(head[1])
        kind = f"{head[2]:0>3}" if len(head) > 2 else "000"
        constraints = bounded(head[3]) if len(head) > 3 else int(kind[1])
        if len(head) > 4 or not set(kind) <= {"0", "1"} or len(kind) != 3 or size < 1 or count < 0 or constraints < 0:
            raise ValueError
    except (ValueError, IndexError):
        raise DataError(f"{path}:{number}: expected the numbers of nodes and edges, found {shown(' '.join(head))!r}.") from None
    if len(lines) != size + 1:
        raise DataError(f"{path}: {len(lines) - 1} lines of neighbours; its first line says {size} nodes.")
    before = (kind[0] == "1") + constraints * (kind[1] == "1")
    step = 2 if kind[2] == "1" else 1
    edges: list[tuple[int, int]] = []
    for node, (number, fields) in enumerate(lines[1:], 1):
        try:
            neighbours = [bounded(f) for f in fields[before::step]]
            if len(fields) < before or (len(fields) - before) % step or any(not 1 <= n <= size for n in neighbours):
                raise ValueError
        except ValueError:
            raise DataError(
                f"{path}:{number}: expected neighbours from 1 to {size} of node {node}, found {shown(' '.join(fields))!r}."
            ) from None
        edges += [(node - 1, n - 1) for n in neighbours]
    if len(edges) != 2 * count:
        raise DataError(f"{path}: {len(edges)} neighbours; expected twice the {count} edges of its first line.")
    return from_edges([size], np.array(edges, np.int64).reshape(-1, 2))
