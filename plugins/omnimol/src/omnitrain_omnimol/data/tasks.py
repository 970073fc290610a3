"""Data `omnimol/tasks`: questions and answers of molecular tasks with the graphs of their molecules."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omnitrain.api import Batch, Context, Fields, Piece, user_path
from omnitrain.engine import file_digest
from omnitrain.errors import DataError
from omnitrain_language.data.blocks import RowExamples
from omnitrain_language.tokenizers import pad_id, tokenizer_facts
from omnitrain_omnimol.configs.data import TasksConfig
from omnitrain_omnimol.data.encoding import EncodedRow, Stored, encode_row, make_batch, store
from omnitrain_omnimol.data.tokenizer import prepare_tokenizer
from omnitrain_omnimol.molecules.graphs import MoleculeGraph, smiles_graph
from omnitrain_omnimol.paper.chat import SYSTEM
from omnitrain_omnimol.tasks.records import Refused
from omnitrain_omnimol.tasks.rows import SPLITS, Row, embedded_name, rows_of, tasks_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_VERSION = 1
_TEXT: Fields = {
    "input_ids": "int64[batch, length]",
    "labels": "int64[batch, length]",
    "loss_weights": "float32[batch, length]",
    "attention_mask": "bool[batch, length]",
    "task_ids": "int64[batch]",
    "example_ids": "int64[batch]",
}
_GRAPHS: Fields = {
    **_TEXT,
    "graph_mask": "bool[batch, length]",
    "atoms": "int64[batch, atoms, 2]",
    "bonds": "int64[batch, bonds, 4]",
}


class TasksData:
    """Rows of molecular tasks; see `TasksConfig`. Prepare it before anything but `splits` is asked."""

    def __init__(self, config: TasksConfig) -> None:
        self.config = config
        self.tasks = tasks_of(config)
        self.batch: Fields = _GRAPHS if config.graphs else _TEXT
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self._stored: dict[str, Stored] = {}
        self.rows: dict[str, list[Row]] = {}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of settings and files."""
        return self._digest([self.config.model_dump_json(), *self._files()])

    def _files(self) -> list[str]:
        files = [task.path for name, task in self.config.tasks.items() if embedded_name(name, task.path) is None]
        return [file_digest(user_path(path)) for path in files]

    def _texts_of(self) -> str:
        """Hash of what decides about the texts that a tokenizer is trained on: the same with and without graphs."""
        settings = self.config.model_dump_json(exclude={"graphs", "tokenizer", "length", "too_long"})
        return self._digest([settings, *self._files()])

    @staticmethod
    def _digest(parts: Sequence[Any]) -> str:
        return hashlib.blake2b(json.dumps([_VERSION, *parts]).encode(), digest_size=16).hexdigest()

    def splits(self) -> Sequence[str]:
        """Name the splits."""
        return SPLITS

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer of the rows. Raises DataError before `prepare`."""
        if self._tokenizer is None:
            raise DataError("omnimol/tasks: prepare the data before its rows are asked for")
        return self._tokenizer

    @property
    def system(self) -> str:
        """The system's turn."""
        return SYSTEM if self.config.system is None else self.config.system

    def prepare(self, workspace: Path, context: Context) -> None:
        """Read, split and encode the rows, and tell what was left out."""
        refused: dict[str, Refused] = {}
        with context.progress("read molecules") as progress:
            rows = []
            for row in rows_of(self.config, refused):
                rows.append(row)
                progress.advance(1)
        texts = (text for row in rows if row.split == "train" for text in (row.question.removeprefix("<image>\n"), row.answer))
        self._tokenizer = prepare_tokenizer(
            self.config.tokenizer, self._with_turns(texts), self._texts_of(), workspace, context
        )
        graphs: dict[str, MoleculeGraph] = {}
        kept = [(row, encoded) for row in rows if (encoded := self._encoded(row, graphs, refused[row.task])) is not None]
        for split in self.splits():
            own = [(row, encoded) for row, encoded in kept if row.split == split]
            self.rows[split] = [row for row, _ in own]
            self._stored[split] = store([encoded for _, encoded in own], [graphs.get(row.smiles) for row, _ in own])
        self._tell(refused, context)

    def _with_turns(self, texts: Iterator[str]) -> Iterator[str]:
        yield f"system\n\n{self.system}user\n\nassistant\n\n"
        yield from texts

    def _encoded(self, row: Row, graphs: dict[str, MoleculeGraph], refused: Refused) -> EncodedRow | None:
        """Return the ids of a row, None where it is left out. Raises DataError where that ends the run."""
        if row.smiles and row.smiles not in graphs:
            try:
                graphs[row.smiles] = smiles_graph(row.smiles)
            except DataError as error:
                if self.config.malformed == "refuse":
                    raise DataError(f"{row.place}: {error}") from error
                refused.add("a molecule that rdkit refuses", row.place)
                return None
        nodes = len(graphs[row.smiles].atoms) if row.smiles else 0
        encoded = encode_row(row, list(self.tasks).index(row.task), self.tokenizer, self.system, nodes)
        if encoded.positions <= self.config.length:
            return encoded
        if self.config.too_long == "refuse":
            raise DataError(
                f"{row.place}: the row has {encoded.positions} positions, {nodes} of them atoms, and length is "
                f"{self.config.length}: raise length, or set too_long: drop"
            )
        refused.add("longer than length", row.place)
        return None

    def _tell(self, refused: Mapping[str, Refused], context: Context) -> None:
        for name, own in refused.items():
            counts = {split: sum(row.task == name for row in rows) for split, rows in self.rows.items()}
            if not counts["train"]:
                raise DataError(
                    f"tasks.{name}: no row is left for training ({own.told() or counts}); see length, valid_fraction"
                )
            context.event("rows", task=name, **counts, left_out=len(own), **own.told())

    def stored(self, split: str) -> Stored:
        """Return the encoded rows of a split. Raises DataError for an unknown one."""
        if split not in self._stored:
            raise DataError(f"omnimol/tasks: there is no split {split!r}; there are {', '.join(self.splits())}")
        return self._stored[split]

    def examples(self, split: str) -> RowExamples:
        """Return the rows of a split."""
        return RowExamples(split, len(self.stored(split).task_ids))

    def gather(self, split: str, rows: Any) -> Batch:
        """Make the batch of some rows, without a step for each molecule."""
        return make_batch(self.stored(split), np.asarray(rows, np.int64), pad_id(self.tokenizer), self.config.graphs)

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> Batch:
        """Make a batch of examples of one split."""
        return self.gather(examples[0]["split"], [example["row"] for example in examples])

    def facts(self) -> Mapping[str, Any]:
        """Tell a model its ids, the longest row and the tasks."""
        longest = max(int(stored.positions.max(initial=1)) for stored in self._stored.values())
        return {
            **tokenizer_facts(self.tokenizer),
            "positions": longest,
            "positions_setting": "length",
            "group_names": {"task_ids": list(self.tasks)},
        }

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show one row: its text, with the atoms of its graph in place, and what is in the loss."""
        ids, real = batch["input_ids"][row].tolist(), batch["attention_mask"][row].tolist()
        ids = [token for token, there in zip(ids, real, strict=True) if there]
        answer = [int(label) for label, weight in zip(batch["labels"][row], batch["loss_weights"][row], strict=True) if weight]
        atoms = int((batch["atoms"][row, :, 0] >= 0).sum()) if "atoms" in batch else 0
        asked = ids[: len(ids) + 1 - len(answer)]
        places = batch["graph_mask"][row].tolist() if "graph_mask" in batch else []
        place = places.index(True) if True in places else len(asked)
        pieces = [Piece(self._text(asked[:place]))]
        if place < len(asked):
            pieces += [Piece(f"<{atoms} atoms>", "special"), Piece(self._text(asked[place + 1 :]))]
        return {"row": [*pieces, Piece(self._text(answer), "loss")]}

    def _text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=False))

    def save_assets(self, directory: Path) -> None:
        """Write the tokenizer into the folder of a model."""
        self.tokenizer.save_pretrained(str(directory))


def build(config: TasksConfig, context: Context) -> TasksData:
    """Make the data `omnimol/tasks`."""
    return TasksData(config)
