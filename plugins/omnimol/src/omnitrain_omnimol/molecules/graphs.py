"""Molecules as graphs of two numbers an atom and two a bond, in rdkit's order, and batches of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnitrain.errors import DataError
from omnitrain_omnimol.molecules.texts import chemistry

WILDCARD = 118
_TAGS = ("CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW", "CHI_OTHER")
_BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
_DIRECTIONS = ("NONE", "ENDUPRIGHT", "ENDDOWNRIGHT")


@dataclass(frozen=True)
class MoleculeGraph:
    """atoms: int64[atoms, 2], number - 1 (wildcard 118) and chirality. bonds: int64[2 bonds, 4], from, to, type, direction."""

    atoms: NDArray[np.int64]
    bonds: NDArray[np.int64]


def _index(known: tuple[str, ...], value: str, what: str, smiles: str) -> int:
    if value not in known:
        raise DataError(f"{smiles}: {what} {value} has no number in the graph features, which know {', '.join(known)}")
    return known.index(value)


def smiles_graph(smiles: str) -> MoleculeGraph:
    """Return the graph of a SMILES, atoms and bonds in rdkit's order, each bond as i to j and then j to i.

    Raises DataError for what is no molecule, and for bonds that the features have no number for (dative ones).
    """
    molecule = chemistry().MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise DataError(f"{smiles!r} is no molecule: correct the SMILES, or leave the row out")
    atoms = [
        (
            WILDCARD if atom.GetAtomicNum() == 0 else atom.GetAtomicNum() - 1,
            _index(_TAGS, str(atom.GetChiralTag()), "chirality", smiles),
        )
        for atom in molecule.GetAtoms()
    ]
    bonds = list[tuple[int, int, int, int]]()
    for bond in molecule.GetBonds():
        start, end = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        kind = _index(_BONDS, str(bond.GetBondType()), "bond", smiles)
        direction = _index(_DIRECTIONS, str(bond.GetBondDir()), "bond direction", smiles)
        bonds += [(start, end, kind, direction), (end, start, kind, direction)]
    return MoleculeGraph(np.array(atoms, np.int64).reshape(-1, 2), np.array(bonds, np.int64).reshape(-1, 4))


@dataclass(frozen=True)
class Packed:
    """Graphs one behind the other: offsets int64[graphs + 1] of atoms and of bonds."""

    atoms: NDArray[np.int64]
    bonds: NDArray[np.int64]
    atom_offsets: NDArray[np.int64]
    bond_offsets: NDArray[np.int64]

    def gather(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (atoms int64[rows, longest, 2], bonds int64[rows, longest, 4]) of graphs, filled up with -1.

        numbers: int64[rows], -1 for rows without a graph.
        """
        return (
            _padded(self.atoms, self.atom_offsets, numbers),
            _padded(self.bonds, self.bond_offsets, numbers),
        )


def pack(graphs: list[MoleculeGraph]) -> Packed:
    """Lay graphs one behind the other."""
    atoms = np.concatenate([np.zeros((0, 2), np.int64), *(graph.atoms for graph in graphs)])
    bonds = np.concatenate([np.zeros((0, 4), np.int64), *(graph.bonds for graph in graphs)])
    ends = np.cumsum([[0, 0], *([len(graph.atoms), len(graph.bonds)] for graph in graphs)], axis=0, dtype=np.int64)
    return Packed(atoms, bonds, ends[:, 0], ends[:, 1])


def _padded(values: NDArray[np.int64], offsets: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    there = numbers >= 0
    starts = np.where(there, offsets[numbers], 0)
    lengths = np.where(there, offsets[numbers + 1] - starts, 0) if len(offsets) > 1 else np.zeros_like(numbers)
    # One column at least, so that no batch has an empty dimension.
    columns = np.arange(max(1, int(lengths.max(initial=0))))
    real = columns < lengths[:, None]
    out = np.full((*real.shape, values.shape[1]), -1, np.int64)
    out[real] = values[(starts[:, None] + columns)[real]]
    return out


def flat(atoms: Tensor, bonds: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return one graph of a batch: (features int64[nodes, 2], edges int64[2, edges], edge features [edges, 2], counts [batch]).

    atoms: int64[batch, atoms, 2], bonds: int64[batch, bonds, 4], filled up with -1.
    """
    real = atoms[..., 0] >= 0
    counts = real.sum(dim=1)
    first = counts.cumsum(0) - counts
    there = bonds[..., 0] >= 0
    edges = (bonds[..., :2] + first[:, None, None])[there]
    return atoms[real], edges.T, bonds[..., 2:][there], counts


def tensors(graph: MoleculeGraph) -> tuple[Tensor, Tensor]:
    """Return (atoms, bonds) of one graph as a batch of one row."""
    return torch.from_numpy(graph.atoms)[None], torch.from_numpy(graph.bonds)[None]
