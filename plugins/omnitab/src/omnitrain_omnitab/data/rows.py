"""What all data about tables share: splits, tokenizer, batches, what the dry run shows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omnitrain.api import Batch, Context, Data, Fields, Piece, Prepares, numpy_generator
from omnitrain.errors import DataError
from omnitrain_language.decoder_start import decoder_start, start_facts
from omnitrain_language.explain import explain_encoder_decoder
from omnitrain_language.splitting import split_of
from omnitrain_language.tokenizers import prepare_tokenizer, save_tokenizer, tokenizer_facts
from omnitrain_language.tokens import texts_of
from omnitrain_omnitab.configs.data import EmbeddedConfig, TextsConfig
from omnitrain_omnitab.paper.collation import collate
from omnitrain_omnitab.paper.denoising import Draws, Example
from omnitrain_omnitab.paper.linearise import joined, linearise
from omnitrain_omnitab.tables.embedded import embedded_tables
from omnitrain_omnitab.tables.table import Question, Table
from omnitrain_omnitab.tables.tokens import TableTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BUILTIN = "builtin"
EMBEDDED_SEED = 2207  # which rows are together in a table is part of the data, not of a run
BATCH: Fields = {
    "input_ids": "int64[batch, input_length]",
    "attention_mask": "bool[batch, input_length]",
    "decoder_input_ids": "int64[batch, target_length]",
    "labels": "int64[batch, target_length]",
    "loss_weights": "float32[batch, target_length]",
    "task_ids": "int64[batch]",
    "example_ids": "int64[batch]",
}


@dataclass(frozen=True)
class Drawn:
    """An example with its number in the split and that of its task."""

    index: int
    task: int
    example: Example


class _Undrawn(Sequence[Drawn]):
    """The examples of a split with a draw that is always the same, made when they are asked for."""

    def __init__(self, data: TableRows, split: str) -> None:
        self._data, self._split = data, split

    def __len__(self) -> int:
        return self._data.size(self._split)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._data.example(self._split, index, index)


class TableRows:
    """Base of data about tables. A subclass gives `size`, `draw`, `_read` and `_source_files`."""

    tasks: Sequence[str] = ("qa",)
    leading_blank = False
    """Whether every text gets a blank in front."""

    def __init__(self, config: TextsConfig, text: Data | None) -> None:
        self.config, self._text_data = config, text
        self.batch: Fields = BATCH
        self._tokens: TableTokens | None = None
        self._start = 0
        self._fingerprint: str | None = None

    def size(self, split: str) -> int:
        """Return the number of examples of a split."""
        raise NotImplementedError

    def draw(self, split: str, index: int, draws: Draws) -> tuple[int, Example]:
        """Return (number of the task, example)."""
        raise NotImplementedError

    def splits(self) -> Sequence[str]:
        """Name the splits."""
        raise NotImplementedError

    def texts(self) -> Iterator[Question]:
        """Yield all texts of the split `train`."""
        raise NotImplementedError

    def _source_files(self) -> Sequence[Path]:
        """Return the files whose content is in the data."""
        raise NotImplementedError

    def _ready(self, context: Context) -> None:
        """Check and count what is prepared."""
        raise NotImplementedError

    @property
    def fingerprint(self) -> str:
        """Hash of files and settings."""
        if self._fingerprint is None:
            digest = hashlib.blake2b(digest_size=16)
            paths = {"path", "valid_path", "test_path", "ids", "natural", "synthetic", "sql"}
            digest.update(self.config.model_dump_json(exclude={*paths, "tokenizer_text"}).encode())
            digest.update(b"" if self._text_data is None else self._text_data.fingerprint.encode())
            names = [f"{name}={str(getattr(self.config, name, None)) in (BUILTIN, 'None')}" for name in sorted(paths)]
            digest.update(" ".join(names).encode())
            for file in self._source_files():
                digest.update(f"\n{file.name} ".encode() + hashlib.blake2b(file.read_bytes(), digest_size=16).digest())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def prepare(self, workspace: Path, context: Context) -> None:
        """Read the texts, train or load the tokenizer, check that everything fits."""
        text = self._text_data
        if isinstance(text, Prepares):
            text.prepare(workspace, context)
        source = self.fingerprint if text is None else text.fingerprint
        tokenizer = prepare_tokenizer(self.config.tokenizer, self._tokenizer_texts(), source, workspace, context)
        self._tokens = TableTokens(tokenizer, lower_case=self.config.lower_case, leading_blank=self.leading_blank)
        self._start = decoder_start(tokenizer, context)
        self._ready(context)

    def _tokenizer_texts(self) -> Iterator[str]:
        if self._text_data is not None:
            return texts_of(self._text_data, self._text_data.splits()[0])
        return (joined(q.text, linearise(q.table.header, q.table.rows).text) for q in self.texts())

    @property
    def tokens(self) -> TableTokens:
        """The tokenizer as tables need it, once prepared."""
        if self._tokens is None:
            raise RuntimeError("data about tables was not prepared yet")
        return self._tokens

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer, once prepared."""
        return self.tokens.tokenizer

    def facts(self) -> Mapping[str, Any]:
        """Return vocabulary_size, pad_id, eos_id, where the decoder starts, the positions that rows need, names of tasks."""
        tokenizer = self.tokens.tokenizer
        return {
            **tokenizer_facts(tokenizer),
            **start_facts(tokenizer, self._start),
            "positions": self._positions(),
            "positions_setting": "inputs_length",
            "group_names": {"task_ids": list(self.tasks)},
        }

    def _positions(self) -> int:
        return self.config.inputs_length

    def save_assets(self, directory: Path) -> None:
        """Write the tokenizer into the model's folder."""
        save_tokenizer(self.tokens.tokenizer, directory, "encoder-decoder")

    def examples(self, split: str) -> Sequence[Drawn]:
        """Return the examples of a split with draws that are always the same."""
        self.check_split(split)
        return _Undrawn(self, split)

    def example(self, split: str, index: int, seed: int) -> Drawn:
        """Return an example drawn with a seed."""
        generator = numpy_generator(seed)
        text_ids = self.tokens.text_ids
        draws = Draws(
            lambda n, k: [int(i) for i in generator.choice(n, k, replace=False)],
            lambda: float(generator.random()),
            lambda: text_ids[int(generator.integers(len(text_ids)))],
        )
        task, example = self.draw(split, index, draws)
        return Drawn(index, task, example)

    def collate(self, examples: Sequence[Drawn]) -> Batch:
        """Make a batch."""
        rows = [drawn.example for drawn in examples]
        batch = collate(
            [row.input_ids for row in rows],
            [row.target_ids for row in rows],
            [row.in_loss for row in rows],
            pad=self.tokens.pad,
            start=self._start,
            multiple=8,
        )
        batch["task_ids"] = torch.from_numpy(np.asarray([drawn.task for drawn in examples], np.int64))
        batch["example_ids"] = torch.from_numpy(np.asarray([drawn.index for drawn in examples], np.int64))
        return batch

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show what encoder and decoder of a row get, and what is in the loss."""
        return explain_encoder_decoder(self.tokens.tokenizer, batch, row)

    def check_split(self, split: str) -> None:
        """Refuse a split that is not there. Raises DataError."""
        if split not in self.splits():
            raise DataError(f"there is no split {split!r}; there are {', '.join(self.splits())}")

    def split_of_table(self, table: Table) -> str:
        """Return the split of a table, with all that is said about it, where the data set has none of its own."""
        return split_of(table_key(table), self.config.valid_fraction, 0.0)


def table_key(table: Table) -> str:
    """Return what tells a table from others: its text."""
    return linearise(table.header, table.rows).text


def made_tables(config: EmbeddedConfig) -> Sequence[Table]:
    """Return the tables of `builtin`."""
    return embedded_tables(config.tables, config.rows, EMBEDDED_SEED)


def tokenizer_text(config: TextsConfig, context: Context) -> Data | None:
    """Return the documents that a tokenizer is trained on, None for the texts and tables themselves."""
    return None if config.tokenizer_text is None else context.build(config.tokenizer_text)


def index_draw() -> Callable[[int], int]:
    """Return draws of an index below a number, the same ones for every data."""
    generator = numpy_generator(EMBEDDED_SEED)
    return lambda below: int(generator.integers(below))


def tell_cut(context: Context, split: str, **counts: int) -> None:
    """Tell how many texts or tables of a split don't fit, where any doesn't. counts: what, and how many of them."""
    if any(counts.values()):
        context.event("cut", split=split, **counts)
