"""Labels of the nodes of an edge list: a file of lines with a node id and a label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.api import shown
from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.fields import LARGEST, MISSING, measured, rows, whole
from omnitrain_w2pgnn.graphs.structure import Graphs

NAMES_OF_IDS = ("node", "id", "name", "node_id", "nodeid", "node id", "vertex", "user")


def read_node_labels(path: Path, faults: Faults, ids: Sequence[Any] = ()) -> dict[Any, int]:
    """Read lines of a node id and a label, with or without a header line. ids: those of the edge list.

    Labels are whole numbers from 0 or names, which become classes in alphabetical order. Raises DataError that names the
    line, for measured values too: they are no classes.
    """
    text_ids = any(isinstance(node, str) for node in ids)
    found: dict[Any, tuple[int, str]] = {}
    for position, (number, fields) in enumerate(rows(path)):
        node: Any = fields[0] if text_ids else whole(fields[0])
        header = position == 0 and (node is None or (text_ids and node not in ids and node.casefold() in NAMES_OF_IDS))
        if header and len(fields) == 2:
            faults.say(f"{path}:{number}: {shown(' '.join(fields))!r} is taken for names of columns")
        elif len(fields) != 2 or node is None or not fields[0]:
            faults.found(f"{path}:{number}: expected a node id and a label, found {shown(' '.join(fields))!r}.")
        elif found.setdefault(node, (number, fields[1]))[1] != fields[1]:
            before, label = found[node]
            told = f"node {shown(fields[0], 40)} has the label {shown(label, 40)!r} in line {before} already"
            faults.found(f"{path}:{number}: {told}.")
    if not found:
        raise DataError(f"{path} holds no labels; expected lines of a node id and a label.")
    if ids and not set(ids) & set(found):
        first, known = shown(str(next(iter(found))), 40), shown(str(ids[0]), 40)
        raise DataError(f"{path}: none of its nodes, such as {first}, is in the edge list; it has {known}.")
    return _as_labels(path, found, faults)


def _as_labels(path: Path, found: dict[Any, tuple[int, str]], faults: Faults) -> dict[Any, int]:
    given = {text for _, text in found.values() if text not in MISSING}
    absent = sum(text in MISSING for _, text in found.values())
    if absent:
        faults.say(f"{path}: {absent} nodes have no label")
    numbers = {text: value for text in given if (value := whole(text)) is not None}
    strange = [(number, text) for number, text in found.values() if text in given and text not in numbers]
    for number, text in strange if numbers else []:
        faults.found(
            f"{path}:{number}: expected a node id and a label, a whole number as in other lines, found {shown(text, 40)!r}."
        )
    if numbers and min(numbers.values()) >= 0 and max(numbers.values()) < LARGEST:
        return {node: numbers.get(text, -1) for node, (_, text) in found.items()}
    if numbers:
        place = {value: i for i, value in enumerate(sorted(set(numbers.values())))}
        faults.say(f"{path}: the labels {min(place)} to {max(place)} are taken as classes 0 to {len(place) - 1}")
        return {node: place[numbers[text]] if text in numbers else -1 for node, (_, text) in found.items()}
    for number, text in strange:
        if measured(text):
            raise DataError(
                f"{path}:{number}: the label {text[:40]!r} is a measured value; expected classes: whole numbers, names."
            )
    place_of = {text: i for i, text in enumerate(sorted(given))}
    if place_of:
        faults.say(f"{path}: the labels are names, classes in alphabetical order: {shown(', '.join(place_of))}")
    return {node: place_of.get(text, -1) for node, (_, text) in found.items()}


def with_node_labels(graphs: Graphs, ids: Sequence[Any], labels: dict[Any, int]) -> Graphs:
    """Return the graph with a label for each node, -1 where there is none; labelled nodes without edges are added."""
    known = set(ids)
    extra = [node for node in labels if node not in known]
    values = np.array([labels.get(node, -1) for node in [*ids, *extra]], np.int64)
    nodes = len(values)
    indptr = np.concatenate([graphs.indptr, np.full(len(extra), graphs.indptr[-1])])
    return Graphs(np.array([0, nodes]), indptr, graphs.indices, graphs.weights, values, node_labels=True)


def labelled(graphs: Graphs, ids: Sequence[Any], path: Path, faults: Faults) -> Graphs:
    """Return the graph with the labels of a file, and say how many of its nodes have no edges."""
    labels = read_node_labels(path, faults, ids)
    found = with_node_labels(graphs, ids, labels)
    if found.nodes > graphs.nodes:
        faults.say(f"{path}: {found.nodes - graphs.nodes} of {len(labels)} labelled nodes have no edge in the edge list")
    return found
