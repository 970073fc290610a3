"""Rows of molecular tasks from files: instruction JSON, ChEBI-20, tables of yields, any table of SMILES and values."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from omnitrain.api import read_text, reading, shown, user_path
from omnitrain.errors import DataError
from omnitrain_omnimol.molecules.texts import encoded_selfies
from omnitrain_omnimol.tasks.table import TEXT_INPUTS, Task

SUFFIXES = (".json", ".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Record:
    """A row. input: molecules in SELFIES, or text. split: "train", "test", or "" where the file doesn't tell.

    named: SMILES of molecules that the metadata name. place: file and row, for messages.
    """

    instruction: str
    input: str
    output: str
    split: str
    place: str
    named: str = ""


@dataclass
class Refused:
    """Rows that could not be taken, by reason."""

    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, place: str) -> None:
        """Note a row."""
        self.places.setdefault(reason, []).append(place)

    def __len__(self) -> int:
        return sum(map(len, self.places.values()))

    def told(self) -> dict[str, str]:
        """Return how many rows there are of each reason, and where the first three are."""
        return {reason: f"{len(places)} ({', '.join(places[:3])})" for reason, places in self.places.items()}


def read_records(path: str, task: Task, wanted: str | None, column: str | None, refused: Refused) -> Iterator[Record]:
    """Yield the rows of a task's file.

    wanted: the value of `metadata.task` whose rows are taken. column: of the values in a table. Rows that hold no molecule or
    no answer are noted in `refused`. Raises DataError for a file of another kind.
    """
    file = user_path(path)
    if file.suffix == ".json":
        yield from _instructions(file, wanted, refused)
    elif file.suffix in SUFFIXES:
        yield from _table(file, task, column, refused)
    else:
        raise DataError(f"{file}: a task is read from {', '.join(SUFFIXES)}; name such a file")


def _instructions(file: Path, wanted: str | None, refused: Refused) -> Iterator[Record]:
    with reading(file, "a JSON list of instructions"):
        rows = json.loads(read_text(file))
    if not isinstance(rows, list):
        raise DataError(
            f"{file}: expected a JSON list of {{instruction, input, output, metadata}}, found {type(rows).__name__}"
        )
    for number, row in enumerate(rows):
        place = f"{file.name}:[{number}]"
        metadata = row.get("metadata") if isinstance(row, dict) else None
        texts = [row.get(key) for key in ("instruction", "input", "output")] if isinstance(row, dict) else [None]
        if not isinstance(metadata, dict) or metadata.get("split") not in ("train", "test"):
            refused.add("no metadata.split of train or test", place)
        elif not all(isinstance(text, str) for text in texts):
            refused.add("instruction, input and output are not all texts", place)
        elif wanted is None or metadata.get("task") == wanted:
            molecules = metadata.get("extracted_molecules") or {}
            instruction, text, answer = map(str, texts)
            record = Record(instruction, text, answer, metadata["split"], place, ".".join(molecules))
            yield from _answered(record, refused)


def _answered(record: Record, refused: Refused) -> Iterator[Record]:
    """Yield a record that has an answer. An empty one would leave a row without any label."""
    if record.output.strip():
        yield record
    else:
        refused.add("an empty answer", record.place)


def _table(file: Path, task: Task, column: str | None, refused: Refused) -> Iterator[Record]:
    lines = read_text(file).splitlines()
    separator = "," if file.suffix == ".csv" else "\t"
    rows = csv.DictReader(lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if separator == "," else csv.QUOTE_NONE)
    names = list(rows.fieldnames or ())
    make = _maker(file, names, task, column)
    for row in islice(rows, None):
        place = f"{file.name}:{rows.line_num}"
        with reading(f"{file}:{rows.line_num}", "a row of a table"):
            read = None if None in row or None in row.values() else make(row)
        if read is None:
            refused.add("no molecule or value that could be read", place)
        else:
            text, answer, split = read
            yield from _answered(Record(task.instruction, text, answer, split, place), refused)


Made = tuple[str, str, str] | None


def _maker(file: Path, names: Sequence[str], task: Task, column: str | None) -> Callable[[dict[str, Any]], Made]:
    """Return what makes (input, answer, split) of a row, told by the names of the columns. Raises DataError."""
    lower = {name.lower(): name for name in names}
    if {"rxn", "y"} <= set(names):
        return lambda row: _reaction(row["rxn"], row["y"], row.get("split", ""))
    if {"ligand", "additive", "base", "aryl_halide", "yield"} <= set(names):
        return _coupling
    if "smiles" not in lower:
        raise DataError(f"{file}: no column is named smiles; its first line names {shown(', '.join(names))}")
    smiles = lower["smiles"]
    value = column or (
        "description" if ("description" in names and task.target == "text") or task.name in TEXT_INPUTS else None
    )
    if value is None or value not in names:
        raise DataError(f"{file}: which column holds the values of {task.name}? Set column to one of {shown(', '.join(names))}")
    if task.name in TEXT_INPUTS:
        return lambda row: _both(row[str(value)], encoded_selfies(row[smiles]))
    return lambda row: _both(encoded_selfies(row[smiles]), row[str(value)])


def _both(text: str | None, answer: str | None) -> Made:
    return None if not text or answer is None else (text, answer, "")


def _selfies_of(molecules: Sequence[str]) -> str | None:
    found = [encoded_selfies(molecule) for molecule in molecules]
    return None if not found or None in found else ".".join(text for text in found if text)


def _reaction(text: str, value: str, split: str) -> Made:
    """Read a reaction SMILES, in which a tilde joins the parts of one complex."""
    left, arrow, right = text.replace("~", ".").partition(">>")
    sides = _selfies_of(left.split(".")), _selfies_of(right.split("."))
    if not arrow or None in sides:
        return None
    return f"{sides[0]}>>{sides[1]}", f"{float(value):.4f}", split if split in ("train", "test") else ""


def _coupling(row: dict[str, Any]) -> Made:
    """Read a Buchwald-Hartwig coupling, whose product follows from the aryl halide and p-toluidine."""
    parts = _selfies_of([row[name] for name in ("aryl_halide", "ligand", "base", "additive")] + ["Cc1ccc(N)cc1"])
    product = _coupled(row["aryl_halide"])
    if parts is None or product is None:
        return None
    split = row.get("split", "")
    return f"{parts}>>{product}", f"{float(row['yield']) / 100:.4f}", split if split in ("train", "test") else ""


def _coupled(halide: str) -> str | None:
    from rdkit.Chem import AllChem

    from omnitrain_omnimol.molecules.texts import chemistry

    molecule = chemistry().MolFromSmiles(halide)
    if molecule is None:
        return None
    rule = AllChem.ReactionFromSmarts("[c:1][Cl,Br,I].[NH2:2][c:3]>>[c:1][NH:2][c:3]")  # type: ignore[attr-defined]
    found = rule.RunReactants((molecule, chemistry().MolFromSmiles("Cc1ccc(N)cc1")))
    return encoded_selfies(chemistry().MolToSmiles(found[0][0])) if found else None
