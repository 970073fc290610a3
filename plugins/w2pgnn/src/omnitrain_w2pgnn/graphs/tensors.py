"""Graphs as batches of tensors: disjoint unions with structural features."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnitrain.api import Batch, Fields
from omnitrain_w2pgnn.graphs.structure import Graphs, from_edges
from omnitrain_w2pgnn.graphs.walks import laplacian_positions

SINGLE: Fields = {
    "edge_index": "int64[2, edges]",
    "node_graph": "int64[nodes]",
    "positional": "float32[nodes, positions]",
    "degrees": "int64[nodes]",
    "is_seed": "bool[nodes]",
    "hidden": "bool[nodes]",
    "sizes": "int64[batch]",
    "arcs": "int64[batch]",
}
PAIRED: Fields = {**SINGLE, "sizes": "int64[batch, 2]", "arcs": "int64[batch, 2]"}
NODE_FIELDS = ("node_graph", "positional", "degrees", "is_seed", "hidden")


def structural(graphs: Graphs, positions: int, hidden: np.ndarray | None = None) -> Batch:
    """Return one view of a batch: a disjoint union of graphs with their features.

    hidden: bool[nodes] whose features the model shall not see.
    """
    seeds = np.zeros(graphs.nodes, bool)
    if graphs.roots is not None:
        seeds[graphs.roots] = True
    first, last = graphs.indptr[graphs.offsets[:-1]], graphs.indptr[graphs.offsets[1:]]
    return {
        "edge_index": torch.from_numpy(np.stack([graphs.sources(), graphs.indices])),
        "node_graph": torch.from_numpy(graphs.graph_of_node()),
        "positional": torch.from_numpy(laplacian_positions(graphs, positions).astype(np.float32)),
        "degrees": torch.from_numpy(graphs.degrees.astype(np.int64)),
        "is_seed": torch.from_numpy(seeds),
        "hidden": torch.from_numpy(np.zeros(graphs.nodes, bool) if hidden is None else hidden),
        "sizes": torch.from_numpy(graphs.sizes.astype(np.int64)),
        "arcs": torch.from_numpy((last - first).astype(np.int64)),
    }


def union(batches: list[Batch]) -> Batch:
    """Put single-view batches behind one another, as one."""
    nodes = np.concatenate([[0], np.cumsum([len(b["degrees"]) for b in batches])]).tolist()
    rows = np.concatenate([[0], np.cumsum([len(b["sizes"]) for b in batches])]).tolist()
    return {
        "edge_index": torch.cat([b["edge_index"] + n for b, n in zip(batches, nodes, strict=False)], dim=1),
        "node_graph": torch.cat([b["node_graph"] + r for b, r in zip(batches, rows, strict=False)]),
        **{name: torch.cat([b[name] for b in batches]) for name in (*NODE_FIELDS[1:], "sizes", "arcs")},
    }


def paired(first: Batch, second: Batch) -> Batch:
    """Put two views of the same rows behind one another, all first views before all second ones."""
    stacked = {name: torch.stack([first[name], second[name]], dim=1) for name in ("sizes", "arcs")}
    return {**union([first, second]), **stacked}


def _part(batch: Mapping[str, Any], nodes: tuple[int, int | None], edges: tuple[int, int | None], row: int) -> Batch:
    """Return nodes and edges from begin to end as a batch of their own, still without sizes. row: number of its first row."""
    found = {name: batch[name][slice(*nodes)] for name in NODE_FIELDS}
    edge_index = batch["edge_index"][:, slice(*edges)] - nodes[0]
    return {**found, "edge_index": edge_index, "node_graph": found["node_graph"] - row}


def view(batch: Mapping[str, Any], number: int) -> Batch:
    """Return the first (0) or second (1) view of a paired batch, without copying."""
    sizes, arcs = batch["sizes"], batch["arcs"]
    nodes, edges = int(sizes[:, 0].sum()), int(arcs[:, 0].sum())
    of_nodes, of_edges = ((0, nodes), (0, edges)) if number == 0 else ((nodes, None), (edges, None))
    return {**_part(batch, of_nodes, of_edges, number * len(sizes)), "sizes": sizes[:, number], "arcs": arcs[:, number]}


def rows_of(batch: Mapping[str, Any], begin: int, end: int) -> Batch:
    """Return some rows of a single-view batch."""
    nodes, edges = ((int(batch[name][:begin].sum()), int(batch[name][:end].sum())) for name in ("sizes", "arcs"))
    return {**_part(batch, nodes, edges, begin), "sizes": batch["sizes"][begin:end], "arcs": batch["arcs"][begin:end]}


def cuts(rows: int, parts: int) -> list[tuple[int, int]]:
    """Return the (begin, end) of nearly equal parts of the rows, none of them empty."""
    edges = np.linspace(0, rows, min(parts, rows) + 1).astype(int).tolist()
    return list(pairwise(edges))


def split_pairs(batch: Batch, parts: int) -> list[Batch]:
    """Cut a paired batch into batches of fewer rows."""
    views = view(batch, 0), view(batch, 1)
    pieces = [paired(rows_of(views[0], a, b), rows_of(views[1], a, b)) for a, b in cuts(len(batch["sizes"]), parts)]
    if "example_ids" in batch:
        for piece, (a, b) in zip(pieces, cuts(len(batch["sizes"]), parts), strict=True):
            piece["example_ids"] = batch["example_ids"][a:b]
    return pieces


def graphs_of_batch(batch: Mapping[str, Any]) -> Graphs:
    """Return the graphs of a batch of anybody's data that has `edge_index` and `node_graph` (or `batch`, as PyG calls it)."""
    owner = np.asarray(batch["node_graph"] if "node_graph" in batch else batch["batch"])
    sizes = np.bincount(owner)
    edges: Tensor | np.ndarray = batch["edge_index"]
    return from_edges(sizes, np.asarray(edges).T)
