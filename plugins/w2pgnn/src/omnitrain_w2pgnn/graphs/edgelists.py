"""Edge lists as networkx, pandas, SNAP and KONECT write them.

What a column means is certain, refused with the setting that decides, or taken and said.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.api import shown, text_lines
from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.fields import MISSING, rows, separator, whole
from omnitrain_w2pgnn.graphs.headers import Columns, is_header, named_columns
from omnitrain_w2pgnn.graphs.matrices import looks_like_metis, read_matrix_market
from omnitrain_w2pgnn.graphs.structure import Graphs, from_edges

MATRIX = "%%matrixmarket"
KONECT = ("sym", "asym", "bip")
_MEASURED = re.compile(r"[+-]?(\d+\.\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """What a recipe says of an edge list. columns: "source", "target", "weight" or "skip" each, in their order. header:
    whether the first line names columns. ids: "numbers" or "text". None: what the file itself makes certain.

    any_shape: read lines of two and three fields as edges, though they could be another format's.
    """

    columns: tuple[str, ...] | None = None
    header: bool | None = None
    ids: str | None = None
    any_shape: bool = False


@dataclass
class _Edges:
    """What was read so far. counting: the first column has counted the lines, and the last held whole numbers."""

    ends: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    number: dict[Any, int] = field(default_factory=dict)
    unweighted: int = 0
    lines: int = 0
    counting: bool = True
    first: int = 0


def read_edge_list(
    path: Path, faults: Faults, keep_weights: bool = False, duplicates: str = "once", layout: Layout | None = None
) -> tuple[Graphs, list[Any]]:
    """Read lines of two ids and, optional, a weight as one undirected graph; return it and the ids by node number.

    Ids are whole numbers of any size or names, numbered in order of appearance. Directed, doubled and looped edges become
    simple ones. keep_weights: take the weights. Raises DataError that names file and line.
    """
    layout = layout or Layout()
    banner = next((line for _, line in islice(text_lines(path), 1)), "")
    words = banner.lstrip("% ").casefold().split()
    if banner.casefold().startswith(MATRIX):
        return read_matrix_market(path, words, faults, keep_weights, duplicates)
    konect = words[0] if banner.startswith("%") and words and words[0] in KONECT else ""
    comments: list[int] = []
    lines = rows(path, comments)
    head = list(islice(lines, 2))
    columns = _columns(path, head, layout, konect, keep_weights, faults)
    found = _Edges()
    for number, fields in chain(head[1:] if columns.header else head, lines):
        _take(f"{path}:{number}", fields, columns, found, keep_weights, faults)
    if not found.ends:
        raise DataError(f"{path} holds no edges; expected lines of two node ids.")
    _doubt(path, head, columns, found, layout)
    _tell(path, head, columns, found, comments, keep_weights, faults)
    weights = np.array(found.weights) if keep_weights else None
    edges = np.array(found.ends, np.int64).reshape(-1, 2)
    return from_edges([len(found.number)], edges, weights, duplicates), list(found.number)


def _columns(
    path: Path, head: list[tuple[int, list[str]]], layout: Layout, konect: str, keep_weights: bool, faults: Faults
) -> Columns:
    """Decide what the columns are."""
    if not head:
        raise DataError(f"{path} holds no edges; expected lines of two node ids.")
    number, first = head[0]
    second = head[1][1] if len(head) > 1 else None
    header = is_header(first, second) if layout.header is None else layout.header
    if layout.columns is not None:
        columns = Columns.of(layout.columns, header)
    elif header:
        columns = named_columns(f"{path}:{number}", first, keep_weights, faults)
    elif konect:
        columns = Columns(most=4, bipartite=konect == "bip")
    elif second is not None and len(first) == len(second) > 3 and not first[-1].startswith("{"):
        raise DataError(
            f"{path}:{number}: {len(first)} columns, found {shown(' '.join(first))!r}; say which are the edge with columns, "
            f"such as columns: [source, target, {', '.join(['skip'] * (len(first) - 2))}]."
        )
    else:
        columns = Columns()
    ids = [columns.ends(fields) for _, fields in (head[1:] if header else head)[:1]]
    numeric = all(whole(text) is not None for pair in ids for text in pair or ())
    return columns.with_numbers(numeric if layout.ids is None else layout.ids == "numbers", layout.ids is not None)


def _take(where: str, fields: list[str], columns: Columns, found: _Edges, keep_weights: bool, faults: Faults) -> None:
    """Take one line as an edge, or note what is wrong with it."""
    try:
        pair = columns.ends(fields)
        if pair is None:
            raise ValueError(f"{len(fields)} fields")
        first, second = (_id(text, columns) for text in pair)
        weight = _weight(fields, columns, keep_weights)
    except ValueError as error:
        wanted = "two whole numbers" if columns.numbers else "two names"
        text = shown((" " if all(fields) else ",").join(fields))
        faults.found(f"{where}: expected {wanted} and at most a weight, found {text!r} ({shown(str(error), 120)}).")
        return
    if columns.bipartite:
        first, second = ("left", first), ("right", second)
    plain = len(fields) == 3 and (columns.least, columns.most) == (2, 3)
    if not found.lines and plain and isinstance(first, int):
        found.first = first
    found.counting &= plain and first == found.first + found.lines and whole(fields[2]) is not None
    found.lines += 1
    number = found.number
    found.ends += (number.setdefault(first, len(number)), number.setdefault(second, len(number)))
    if weight is None:
        found.unweighted += 1
    if keep_weights:
        found.weights.append(1.0 if weight is None else weight)


def _id(text: str, columns: Columns) -> Any:
    if not columns.numbers:
        if text in MISSING and (not text or not columns.ids_are_set):
            raise ValueError("an id is missing")
        if not columns.ids_are_set and (_MEASURED.fullmatch(text) or not any(c.isalnum() for c in text)):
            raise ValueError(f"{shown(text, 40)!r} is hardly a name; set ids: text if it is one")
        return text
    value = whole(text)
    if value is None:
        advice = "" if columns.ids_are_set else "; if it is a name, set ids: text"
        raise ValueError(f"{shown(text, 40)!r} is no whole number{advice}" if text else "an id is missing")
    return value


def _weight(fields: list[str], columns: Columns, keep: bool) -> float | None:
    """Return the weight of a line, None where there is none. Raises ValueError for one that is no number to weigh with."""
    if columns.weight is None or columns.weight >= len(fields) or not fields[columns.weight]:
        return None
    text = fields[columns.weight]
    if text.startswith("{"):
        text = _weight_of_dictionary(text) if keep else ""
        if not text:
            return None
    if "_" in text:
        raise ValueError(f"weight {text[:40]}")
    try:
        weight = float(text)
    except ValueError:
        weight = float(text.replace(",", "."))
    if not np.isfinite(weight) or (keep and weight < 0):
        raise ValueError(f"weight {text[:40]}")
    return weight


def _weight_of_dictionary(text: str) -> str:
    try:
        data = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError("the dictionary of the edge can't be read") from error
    return str(data["weight"]) if isinstance(data, dict) and "weight" in data else ""


def _doubt(path: Path, head: list[tuple[int, list[str]]], columns: Columns, found: _Edges, layout: Layout) -> None:
    """Refuse lines that are likely something else than edges, and are read as edges without a fault."""
    if layout.any_shape or layout.columns is not None or columns.header:
        return
    first = [whole(text) for text in head[0][1]]
    separated = separator(_first_line(path)) is not None
    if found.counting and separated and found.lines >= 3 and found.first in (0, 1):
        raise DataError(
            f"{path}: the first of three columns counts the lines, as the index does that pandas writes; set columns: "
            "[skip, source, target], or [source, target, weight] if it is an end of the edges."
        )
    if len(first) == 2 and first[0] == found.lines - 1 and looks_like_metis(path):
        raise DataError(
            f"{path}: line 1 could be the numbers of nodes and edges that a METIS file begins with; set format: metis or "
            "edge-list."
        )


def _first_line(path: Path) -> str:
    return next((line for _, line in text_lines(path) if line.strip() and line[:1] not in ("#", "%")), "")


def _tell(
    path: Path,
    head: list[tuple[int, list[str]]],
    columns: Columns,
    found: _Edges,
    comments: Sequence[int],
    keep_weights: bool,
    faults: Faults,
) -> None:
    """Say what was taken that could have been meant in another way."""
    number, first = head[0]
    if not columns.numbers and not columns.ids_are_set:
        names = " and ".join(repr(shown(str(name), 40)) for name in list(found.number)[:2])
        faults.say(f"{path}: ids are names, {len(found.number)} different ones, such as {names}")
        if not columns.header:
            faults.say(f"{path}:{number}: line {number} is taken for an edge; set header: true if it names columns")
    elif first in (["0", "1"], ["0", "1", "2"]) and separator(_first_line(path)) and not columns.header:
        faults.say(f"{path}:{number}: taken for the edge 0 1; set header: true if pandas wrote it as names of columns")
    if columns.bipartite:
        faults.say(f"{path}: bipartite, so that equal ids of the two columns are different nodes")
    if comments and not columns.numbers:
        faults.say(f"{path}: {len(comments)} lines behind the first edge begin with # or % and are taken for comments")
    if keep_weights and found.unweighted:
        faults.say(f"{path}: {found.unweighted} of {found.lines} edges have no weight; theirs is 1")
