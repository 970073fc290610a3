"""Model `w2pgnn/gin`: the graph isomorphism network of GCC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnitrain.api import Context
from omnitrain_w2pgnn.configs.models import GinConfig
from omnitrain_w2pgnn.graphs.sources import quiet_geometric

POSITIONS, CLASSES = 32, 16


def _perceptron(width: int, hidden: int) -> nn.Sequential:
    """Two linear maps with normalisation between and behind: what a GIN layer applies to the sum over neighbours."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
    )


class GraphEncoder(nn.Module):
    """Graphs to unit vectors: sum over all layers, input included, of a linear map of the layer's sum over nodes.

    A batch is a single view of `omnitrain_w2pgnn.graphs.tensors`.
    """

    def __init__(self, config: GinConfig, positions: int, classes: int) -> None:
        super().__init__()
        geometric = quiet_geometric().nn
        self.config = config
        self.degree = nn.Embedding(config.max_degree + 1, config.degree_width)
        width = positions + config.degree_width + 1
        widths = [width] + [config.hidden] * (config.layers - 1)
        self.convolutions = nn.ModuleList(geometric.GINConv(_perceptron(w, config.hidden)) for w in widths[:-1])
        self.norms = nn.ModuleList(nn.BatchNorm1d(config.hidden) for _ in widths[1:])
        self.pool = geometric.global_add_pool
        masking = config.head == "masking"
        # Masking trains node states only: its read-out has no weights that would stay as they were drawn.
        self.readouts = nn.ModuleList([] if masking else [nn.Linear(w, config.output) for w in widths])
        self.dropout = nn.Dropout(config.dropout)
        projects = config.head == "projection"
        self.projection = (
            nn.Sequential(nn.Linear(config.output, config.output), nn.ReLU(), nn.Linear(config.output, config.output))
            if projects
            else None
        )
        self.node_head = nn.Linear(config.hidden, classes) if masking else None
        self.edge_head = nn.Linear(config.hidden, config.hidden, bias=False) if masking else None

    @property
    def width(self) -> int:
        """Width of what `embed` returns."""
        return self.config.hidden if self.config.head == "masking" else self.config.output

    def node_states(self, batch: Mapping[str, Any]) -> list[Tensor]:
        """Return the states of all layers, the input first, float[nodes, width] each."""
        visible = (~batch["hidden"])[:, None]
        degrees = self.degree(batch["degrees"].clamp(max=self.config.max_degree)) * visible
        positional = batch["positional"].to(degrees.dtype) * visible
        state = torch.cat([positional, degrees, batch["is_seed"][:, None].to(degrees.dtype)], dim=1)
        states = [state]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            state = functional.relu(norm(convolution(state, batch["edge_index"])))
            states.append(state)
        return states

    def embed(self, batch: Mapping[str, Any], drop: bool = True) -> Tensor:
        """Return unit vectors float[graphs, width], as they are used downstream. drop: whether dropout may act."""
        states, rows = self.node_states(batch), len(batch["sizes"])
        if self.config.head == "masking":
            sums = torch.stack([self.pool(state, batch["node_graph"], rows) for state in states[1:]]).sum(dim=0)
            return functional.normalize(sums, dim=1)
        total = torch.zeros(rows, self.config.output, dtype=states[1].dtype, device=states[1].device)
        for state, readout in zip(states, self.readouts, strict=True):
            linear = readout(self.pool(state, batch["node_graph"], rows))
            total = total + (self.dropout(linear) if drop else linear)
        return functional.normalize(total, dim=1)

    def forward(self, batch: Mapping[str, Any], drop: bool = True) -> Tensor:
        """Return what pre-training compares: embeddings, behind the projection where there is one."""
        embedded = self.embed(batch, drop)
        return embedded if self.projection is None else self.projection(embedded)


def build_gin(config: GinConfig, context: Context) -> GraphEncoder:
    """Make the model `w2pgnn/gin`; widths that the settings leave open are those of the data."""
    facts = context.facts
    positions = config.positions if config.positions is not None else int(facts.get("positions", POSITIONS))
    classes = config.classes if config.classes is not None else int(facts.get("classes", CLASSES))
    return GraphEncoder(config, positions, classes)
