"""Molecules as graphs, and their Bemis-Murcko scaffolds as domains; needs rdkit (extra `molecules`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.errors import DataError, EnvironmentFault
from omnitrain_w2pgnn.graphs.readers import Faults
from omnitrain_w2pgnn.graphs.structure import Graphs, Ints, from_edges


def _rdkit() -> Any:
    try:
        from rdkit import Chem, RDLogger
    except ImportError as error:
        raise EnvironmentFault(
            "Molecules need rdkit, which is not installed: pip install 'omnitrain-w2pgnn[molecules]'."
        ) from error
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    return Chem


def read_smiles(path: Path, faults: Faults) -> tuple[Graphs, list[str]]:
    """Read a SMILES and, optional, a whole-number label per line; return the graphs and their scaffolds as SMILES.

    Atoms are nodes with their atomic number as attribute, bonds are edges. Scaffolds keep chirality, as in the official split.
    Raises DataError that names file and line, EnvironmentFault without rdkit.
    """
    chem = _rdkit()
    from rdkit.Chem.Scaffolds import MurckoScaffold

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read as text: {error}.") from error
    sizes: list[int] = []
    edges: list[tuple[int, int]] = []
    atoms: list[int] = []
    labels: list[int] = []
    scaffolds: list[str] = []
    for number, line in enumerate(lines, 1):
        fields = line.replace(",", " ").split()
        if not fields or (number == 1 and fields[0].lower() == "smiles"):
            continue
        molecule = chem.MolFromSmiles(fields[0])
        if molecule is None or molecule.GetNumAtoms() == 0:
            faults.found(f"{path}:{number}: {fields[0]!r} is not a SMILES.")
            continue
        base = len(atoms)
        sizes.append(molecule.GetNumAtoms())
        atoms += [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
        edges += [(base + bond.GetBeginAtomIdx(), base + bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
        labels.append(int(fields[1]) if len(fields) > 1 and fields[1].lstrip("-").isdigit() else -1)
        scaffolds.append(MurckoScaffold.MurckoScaffoldSmiles(mol=molecule, includeChirality=True))  # type: ignore[no-untyped-call]
    if not sizes:
        raise DataError(f"{path} holds no molecules; expected a SMILES per line.")
    graphs = from_edges(sizes, edges, labels=np.array(labels, np.int64), attributes=np.array(atoms, np.int64))
    return graphs, scaffolds


def scaffold_groups(scaffolds: list[str], parts: int, generator: np.random.Generator) -> Ints:
    """Return a domain for each molecule, int64[molecules]: scaffolds in random order, cut into parts of as many scaffolds.

    The official code goes on with the first half of each part only; here every molecule has a domain.
    """
    unique = sorted(set(scaffolds))
    place = np.empty(len(unique), np.int64)
    place[generator.permutation(len(unique))] = np.arange(len(unique)) * min(parts, len(unique)) // len(unique)
    number = {scaffold: int(group) for scaffold, group in zip(unique, place, strict=True)}
    return np.array([number[scaffold] for scaffold in scaffolds], np.int64)
