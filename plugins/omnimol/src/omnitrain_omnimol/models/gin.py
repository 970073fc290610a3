"""The graph encoder: MoleculeSTM's graph isomorphism network, under the names of its checkpoint, frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import reading, user_path
from omnitrain.errors import DataError

ATOM_ROWS, BOND_ROWS = (119, 4), (5, 6)


class Embeddings(nn.Module):
    """A vector of each of some categories, added up. The list has the name of the checkpoint's entries."""

    def __init__(self, rows: tuple[int, ...], width: int, name: str) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, nn.ModuleList(nn.Embedding(count, width) for count in rows))

    def forward(self, features: Tensor) -> Tensor:
        """Return float[items, width] of int64[items, categories]."""
        tables: Any = getattr(self, self.name)
        out: Tensor = tables[0](features[:, 0])
        for column, table in enumerate(tables[1:], start=1):
            out = out + table(features[:, column])
        return out


class Layer(nn.Module):
    """MLP((1 + eps) x_i + sum_j relu(x_j + e_ij))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.BatchNorm1d(2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.eps = nn.Parameter(torch.zeros(1))
        self.bond_encoder = Embeddings(BOND_ROWS, width, "bond_embedding_list")

    def forward(self, states: Tensor, edges: Tensor, features: Tensor) -> Tensor:
        """Return the next states of nodes float[nodes, width]. edges: int64[2, edges], from and to."""
        messages = (states[edges[0]] + self.bond_encoder(features)).relu()
        gathered = torch.zeros_like(states).index_add(0, edges[1], messages)
        out: Tensor = self.mlp((1 + self.eps) * states + gathered)
        return out


class GraphEncoder(nn.Module):
    """Node vectors of molecules. Always in evaluation mode, without gradients."""

    def __init__(self, layers: int = 5, width: int = 300) -> None:
        super().__init__()
        self.width = width
        self.atom_encoder = Embeddings(ATOM_ROWS, width, "atom_embedding_list")
        self.gnns = nn.ModuleList(Layer(width) for _ in range(layers))
        self.batch_norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(layers))
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> GraphEncoder:
        """Stay in evaluation mode: running statistics are those of the checkpoint."""
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, features: Tensor, edges: Tensor, edge_features: Tensor) -> Tensor:
        """Return float[nodes, width]. features: int64[nodes, 2]; edges: int64[2, edges]; edge_features: int64[edges, 2]."""
        states: Tensor = self.atom_encoder(features)
        for number, (layer, norm) in enumerate(zip(self.gnns, self.batch_norms, strict=True)):
            states = norm(layer(states, edges, edge_features))
            if number + 1 < len(self.gnns):
                states = states.relu()
        return states

    def load_checkpoint(self, path: str) -> None:
        """Take the weights of a file under MoleculeSTM's names; tables of features that are not used are left out.

        Raises DataError for another file, and for one of another size.
        """
        file: Path = user_path(path)
        with reading(file, "the weights of a graph encoder (.pth or .safetensors)"):
            if file.suffix == ".safetensors":
                from safetensors.torch import load_file

                state = load_file(file)
            else:
                state = torch.load(file, map_location="cpu", weights_only=True)
        own = self.state_dict()
        state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
        wanted = [name for name in own if not name.endswith("num_batches_tracked")]
        missing = [name for name in wanted if name not in state]
        misfit = [name for name in wanted if name in state and state[name].shape != own[name].shape]
        if missing or misfit:
            raise DataError(
                f"{file}: no weights of this graph encoder (missing {missing[:2]}, of another shape {misfit[:2]}): name "
                "MoleculeSTM's checkpoint of the graph alone, and set graph.layers and graph.width as it has them"
            )
        self.load_state_dict({name: state[name] for name in wanted}, strict=False)
