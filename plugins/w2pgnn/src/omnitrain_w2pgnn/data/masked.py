"""Data `w2pgnn/masked`: graphs with hidden nodes and edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from omnitrain.api import Batch, Context, Fields, Piece
from omnitrain_w2pgnn.configs.data import MaskedConfig
from omnitrain_w2pgnn.data.collection import explained
from omnitrain_w2pgnn.data.views import Subgraphs
from omnitrain_w2pgnn.graphs.augmenting import hide
from omnitrain_w2pgnn.graphs.structure import Ints
from omnitrain_w2pgnn.graphs.tensors import SINGLE, cuts, rows_of, structural

MASKED: Fields = {
    **SINGLE,
    "node_class": "int64[nodes]",
    "pair_index": "int64[2, pairs]",
    "pair_edge": "float32[pairs]",
    "pair_graph": "int64[pairs]",
}


class Masked(Subgraphs):
    """Samples with hidden nodes and edges."""

    batch = MASKED
    config: MaskedConfig

    def facts(self) -> Mapping[str, Any]:
        """Tell models the width of the features and the number of classes."""
        return {**super().facts(), "classes": self.config.classes}

    def rows(self, chosen: Ints, generator: np.random.Generator) -> Batch:
        """Hide nodes and edges of the samples."""
        config = self.config
        found = hide(self.graphs_at(chosen, generator), config.node_share, config.edge_share, config.classes, generator)
        batch = structural(found.graphs, config.positions, found.hidden)
        batch["node_class"] = torch.from_numpy(found.classes)
        batch["pair_index"] = torch.from_numpy(found.pairs)
        batch["pair_edge"] = torch.from_numpy(found.is_edge.astype(np.float32))
        batch["pair_graph"] = batch["node_graph"][batch["pair_index"][0]]
        return batch

    def split_batch(self, batch: Batch, parts: int) -> Sequence[Batch]:
        """Cut a batch into batches of fewer graphs."""
        nodes = torch.cat([torch.zeros(1, dtype=torch.int64), batch["sizes"].cumsum(0)])
        found = []
        for a, b in cuts(len(batch["sizes"]), parts):
            own = (batch["pair_graph"] >= a) & (batch["pair_graph"] < b)
            piece = rows_of(batch, a, b)
            piece["node_class"] = batch["node_class"][int(nodes[a]) : int(nodes[b])]
            piece["pair_index"] = batch["pair_index"][:, own] - nodes[a]
            piece["pair_edge"], piece["pair_graph"] = batch["pair_edge"][own], batch["pair_graph"][own] - a
            found.append(piece)
        return found

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show one graph and how much of it is hidden."""
        own = rows_of(batch, row, row + 1)
        pairs = int((batch["pair_graph"] == row).sum())
        hidden = Piece(f" {int(own['hidden'].sum())} hidden nodes, {pairs} pairs to tell", "mask")
        return {"graph": [*explained(own), hidden]}


def build(config: MaskedConfig, context: Context) -> Masked:
    """Make the data `w2pgnn/masked`."""
    return Masked(config, context)
