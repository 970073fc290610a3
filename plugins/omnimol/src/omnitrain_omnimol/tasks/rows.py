"""From records to questions and answers, in one notation, with the SMILES of their graphs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from omnitrain.errors import DataError, UsageError
from omnitrain_language.splitting import split_of
from omnitrain_omnimol.configs.data import TaskConfig, TasksConfig
from omnitrain_omnimol.molecules.rules import EMBEDDED, labelled
from omnitrain_omnimol.molecules.texts import decoded_selfies
from omnitrain_omnimol.tasks.records import Record, Refused, read_records
from omnitrain_omnimol.tasks.table import TEXT_INPUTS, Task, graph_smiles, question, task_row

BUILTIN = "builtin"
SPLITS = ("train", "valid", "test")
_CHANGES = ("suffix", "graph", "target", "metrics", "instruction")


@dataclass(frozen=True)
class Row:
    """A question with its answer. smiles: of its graph, "" for none. place: for messages."""

    task: str
    split: str
    question: str
    answer: str
    smiles: str
    place: str


def tasks_of(config: TasksConfig) -> dict[str, Task]:
    """Return the rows of the table that settings name. Raises UsageError."""
    return {
        name: task_row(name, given.like, {key: getattr(given, key) for key in _CHANGES}) for name, given in config.tasks.items()
    }


def embedded_name(name: str, path: str) -> str | None:
    """Return which embedded task a path names, None for a file. Raises UsageError for one that there is not."""
    front, _, own = path.partition(":")
    if front != BUILTIN:
        return None
    wanted = own or name
    if wanted not in EMBEDDED:
        raise UsageError(
            f"tasks.{name}.path: {path} holds no rows of {wanted}, but {', '.join(EMBEDDED)}: name a file, or one of these as "
            f"{BUILTIN}:{EMBEDDED[0]}"
        )
    return wanted


def _records(name: str, given: TaskConfig, task: Task, refused: Refused) -> Iterator[Record]:
    embedded = embedded_name(name, given.path)
    if embedded is None:
        yield from read_records(given.path, task, given.task, given.column, refused)
        return
    for number, (text, answer, _) in enumerate(labelled(embedded)):
        yield Record(task.instruction, text, answer, "", f"{given.path}[{number}]")


def _split(record: Record, config: TasksConfig) -> str:
    if record.split == "test":
        return "test"
    return split_of(record.input, config.valid_fraction, 0.0 if record.split == "train" else config.test_fraction)


def _kept(name: str, record: Record, share: float, seed: int) -> bool:
    digest = hashlib.blake2b(f"{seed} {name} {record.place}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def _in_notation(text: str, notation: str) -> str | None:
    """Return molecules, joined by dots and arrows, in a notation; None for SELFIES that can't be read."""
    if notation == "selfies":
        return text
    sides = [decoded_selfies(side) for side in text.split(">>")]
    return None if None in sides else ">>".join(side for side in sides if side is not None)


def _row(record: Record, name: str, task: Task, config: TasksConfig, refused: Refused) -> Row | None:
    written = record.input if name in TEXT_INPUTS or task.graph == "none" else _in_notation(record.input, config.notation)
    answer = _in_notation(record.output, config.notation) if task.target == "molecule" else record.output
    smiles = graph_smiles(task, record.input, record.named)
    if written is None or answer is None or smiles is None:
        refused.add("SELFIES with unknown symbols", record.place)
        return None
    if task.graph != "none" and not smiles:
        refused.add("no molecule for the graph", record.place)
        return None
    asked = question(task, record.instruction, written, config.graphs)
    if config.notation == "smiles":
        asked = asked.replace("SELFIES", "SMILES")
    return Row(name, _split(record, config), asked, answer, smiles if config.graphs else "", record.place)


def rows_of(config: TasksConfig, refused: dict[str, Refused]) -> Iterator[Row]:
    """Yield the rows of all tasks. refused: gets what could not be taken, by task.

    Raises UsageError for a task that is not known, DataError for a task without rows, and for refused ones where these end the
    run.
    """
    for name, task in tasks_of(config).items():
        given, own, counts = config.tasks[name], refused.setdefault(name, Refused()), dict.fromkeys(SPLITS, 0)
        for record in _records(name, given, task, own):
            row = _row(record, name, task, config, own)
            if row is None or (row.split == "train" and not _kept(name, record, given.share, config.seed)):
                continue
            counts[row.split] += 1
            if config.most_rows is None or counts[row.split] <= config.most_rows:
                yield row
            elif min(counts.values()) > config.most_rows:
                break
        if config.malformed == "refuse" and len(own):
            raise DataError(f"tasks.{name}: {given.path}: {_told(own)}: correct these rows, or set malformed: skip")
        if not any(counts.values()):
            raise DataError(f"tasks.{name}: {given.path} holds no row that could be taken ({_told(own) or 'it is empty'})")


def _told(refused: Refused) -> str:
    return "; ".join(f"{reason}: {places}" for reason, places in refused.told().items())
