"""Molecules as graphs, and their Bemis-Murcko scaffolds as domains; needs rdkit (extra `molecules`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from omnitrain.api import reading, shown, text_lines
from omnitrain.errors import DataError, EnvironmentFault
from omnitrain_w2pgnn.graphs.classes import classes_of_texts
from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.fields import LARGEST, measured, split, whole
from omnitrain_w2pgnn.graphs.structure import Graphs, Ints, from_edges

# Names of the columns in MoleculeNet's and other tables.
SMILES = ("smiles", "canonical_smiles", "mol", "smi")
LABELS = ("label", "labels", "y", "class", "target", "activity", "p_np")


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
    """Read a SMILES and, optional, a label per line; return the graphs and their scaffolds as SMILES.

    A first line that names a column smiles says where they are. Atoms are nodes with their atomic number as attribute, bonds
    are edges. Scaffolds keep chirality, as in the official split. Raises DataError that names file and line, EnvironmentFault
    without rdkit.
    """
    chem = _rdkit()
    from rdkit.Chem.Scaffolds import MurckoScaffold

    sizes: list[int] = []
    edges: list[tuple[int, int]] = []
    atoms: list[int] = []
    labels: list[str] = []
    scaffolds: list[str] = []
    place, label_place = 0, 1
    for position, (number, fields) in enumerate(_rows(path)):
        if position == 0 and (named := _named(f"{path}:{number}", fields, faults)) is not None:
            place, label_place = named
            continue
        with reading(f"{path}:{number}", "a molecule"):
            text = fields[place] if place < len(fields) else ""
            molecule = chem.MolFromSmiles(text)
            scaffold = None
            if molecule is not None and molecule.GetNumAtoms() > 0:
                scaffold = MurckoScaffold.MurckoScaffoldSmiles(mol=molecule, includeChirality=True)  # type: ignore[no-untyped-call]
        if scaffold is None:
            faults.found(f"{path}:{number}: {shown(text)!r} is not a SMILES.")
            continue
        base = len(atoms)
        sizes.append(molecule.GetNumAtoms())
        atoms += [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
        edges += [(base + bond.GetBeginAtomIdx(), base + bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
        labels.append(fields[label_place] if 0 <= label_place < len(fields) else "")
        scaffolds.append(scaffold)
    if not sizes:
        raise DataError(f"{path} holds no molecules; expected a SMILES per line.")
    classes = _classes(path, labels, faults)
    return from_edges(sizes, edges, labels=classes, attributes=np.array(atoms, np.int64)), scaffolds


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of each line; "#" begins no comment here, it is a triple bond."""
    for number, line in text_lines(path):
        if line.strip():
            yield number, split(line.strip())


def _named(where: str, names: list[str], faults: Faults) -> tuple[int, int] | None:
    """Return the columns of SMILES and labels that a first line names, -1 for no labels; None where it names none."""
    known = [name.casefold() for name in names]
    place = next((known.index(name) for name in SMILES if name in known), None)
    if place is None:
        return None
    label = next((known.index(name) for name in LABELS if name in known), 1 if len(names) == 2 and place == 0 else -1)
    taken = f"labels {names[label]!r}" if label >= 0 else "no labels: no column is named label or y"
    faults.say(f"{where}: the line names columns; SMILES are of {names[place]!r}, {taken}")
    return place, label


def _classes(path: Path, labels: list[str], faults: Faults) -> Ints:
    """Return the classes of molecules; -1 where there is none, or where the second column holds names of molecules."""
    known = [text for text in labels if text]
    absent = np.full(len(labels), -1, np.int64)
    if not known:
        return absent
    numbers = {text: -1 if (value := whole(text)) is None else value for text in known}
    if len(set(known)) == len(labels) > 2 and any(numbers[text] < 0 and not measured(text) for text in known):
        faults.say(f"{path}: the second column names each molecule; the molecules have no labels")
        return absent
    if all(0 <= value < LARGEST for value in numbers.values()):
        return np.array([numbers[text] if text else -1 for text in labels], np.int64)
    found = classes_of_texts(labels, str(path), faults)
    return absent if found is None else found


def scaffold_groups(scaffolds: list[str], parts: int, generator: np.random.Generator) -> Ints:
    """Return a domain for each molecule, int64[molecules]: scaffolds in random order, cut into parts of as many scaffolds.

    The official code goes on with the first half of each part only; here every molecule has a domain.
    """
    unique = sorted(set(scaffolds))
    place = np.empty(len(unique), np.int64)
    place[generator.permutation(len(unique))] = np.arange(len(unique)) * min(parts, len(unique)) // len(unique)
    number = {scaffold: int(group) for scaffold, group in zip(unique, place, strict=True)}
    return np.array([number[scaffold] for scaffold in scaffolds], np.int64)
