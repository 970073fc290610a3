"""Data `language/blocks`: rows of tokens for causal language models, gathered from memory-mapped files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import Batch, BatchPlan, Context, Data, Fields, Piece, Prepares
from omnitrain.errors import DataError
from omnitrain_language.configs.data import BlocksConfig
from omnitrain_language.explain import explain_decoder_only
from omnitrain_language.order import Ints, RowStream
from omnitrain_language.packing import PackingPlan, cut_to_capacity, gather_rows, plan_best_fit
from omnitrain_language.tokenizers import pad_id, prepare_tokenizer, save_tokenizer, tokenizer_facts
from omnitrain_language.tokens import TokenFile, prepare_tokens, texts_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_PLAIN: Fields = {
    "input_ids": "int64[batch, length]",
    "labels": "int64[batch, length]",
    "loss_weights": "float32[batch, length]",
    "example_ids": "int64[batch]",
}
_PACKED: Fields = {**_PLAIN, "segment_ids": "int64[batch, length]", "position_ids": "int64[batch, length]"}


@dataclass(frozen=True)
class WrappedRows:
    """Rows cut from the stream of all documents: every token but the first is predicted exactly once per epoch."""

    tokens: NDArray[Any]
    length: int

    def __len__(self) -> int:
        return -(-(len(self.tokens) - 1) // self.length)

    def gather(self, rows: Ints) -> dict[str, NDArray[Any]]:
        """Return the fields of rows, int64[n]; the last row is padded with its last token, without loss."""
        last = len(self.tokens) - 1
        index = np.maximum(rows, 0)[:, None] * self.length + np.arange(self.length + 1)
        ids = self.tokens[np.minimum(index, last)].astype(np.int64)
        real = (index[:, 1:] <= last) & (rows >= 0)[:, None]
        return {"input_ids": ids[:, :-1], "labels": ids[:, 1:], "loss_weights": real.astype(np.float32)}


@dataclass(frozen=True)
class PackedDocuments:
    """Whole documents side by side; those longer than a row are cut into pieces.

    A document's first token is predicted from the eos before it, so here too every token is predicted exactly once.
    """

    tokens: NDArray[Any]
    starts: Ints
    lengths: Ints
    plan: PackingPlan
    pad_id: int

    def __len__(self) -> int:
        return self.plan.rows

    def gather(self, rows: Ints) -> dict[str, NDArray[Any]]:
        """Return the fields of rows, int64[n]."""
        packed = gather_rows(self.plan, self.starts, self.lengths, np.maximum(rows, 0))
        real = packed.source >= 0
        source = np.maximum(packed.source, 0)
        return {
            "input_ids": np.where(real, self.tokens[source], self.pad_id).astype(np.int64),
            "labels": np.where(real, self.tokens[source + real], self.pad_id).astype(np.int64),
            "loss_weights": (real & (rows >= 0)[:, None]).astype(np.float32),
            "segment_ids": packed.segment_ids,
            "position_ids": packed.position_ids,
        }


def packed_documents(file: TokenFile, length: int, pad_id: int) -> PackedDocuments:
    """Plan the packed rows of a token file."""
    offsets = np.asarray(file.offsets)
    starts, lengths = cut_to_capacity(offsets[:-1] - 1, np.diff(offsets), length)
    return PackedDocuments(file.tokens, starts, lengths, plan_best_fit(lengths, length), pad_id)


class RowExamples(Sequence[dict[str, Any]]):
    """The rows of a split as examples `{"split", "row"}`, which `collate` gathers."""

    def __init__(self, split: str, size: int) -> None:
        self._split, self._size = split, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._size))]
        if not -self._size <= index < self._size:
            raise IndexError(index)
        return {"split": self._split, "row": index % self._size}


class BlocksData:
    """Blocks of tokens from any text; see `BlocksConfig`. Prepare it before anything but `splits` is asked."""

    def __init__(self, config: BlocksConfig, text: Data) -> None:
        self.config = config
        self.text = text
        self.batch: Fields = _PACKED if config.packing == "packed" else _PLAIN
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self.files: dict[str, TokenFile] = {}
        self._rows: dict[str, WrappedRows | PackedDocuments] = {}

    @property
    def fingerprint(self) -> str:
        """Hash of the text and of the settings."""
        settings = self.config.model_dump_json(exclude={"text"})
        return hashlib.blake2b(f"{self.text.fingerprint} {settings}".encode(), digest_size=16).hexdigest()

    def prepare(self, workspace: Path, context: Context) -> None:
        """Train the tokenizer and tokenise the text, unless it is done already."""
        if isinstance(self.text, Prepares):
            self.text.prepare(workspace, context)
        train = self.text.splits()[0]
        self._tokenizer = prepare_tokenizer(
            self.config.tokenizer, texts_of(self.text, train), self.text.fingerprint, workspace, context
        )
        self.files = prepare_tokens(self.text, self._tokenizer, workspace, context)

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer, once prepared."""
        if self._tokenizer is None:
            raise RuntimeError("language/blocks was not prepared yet")
        return self._tokenizer

    def facts(self) -> Mapping[str, Any]:
        """Return vocabulary_size, pad_id, eos_id, the length of a row, and the positions that a model needs."""
        length = self.config.length
        if self.config.packing == "packed":
            # Positions begin anew with each document.
            length = min(length, 1 + max((int(file.lengths().max(initial=0)) for file in self.files.values()), default=length))
        facts = tokenizer_facts(self.tokenizer)
        return {**facts, "length": self.config.length, "positions": length, "positions_setting": "length"}

    def save_assets(self, directory: Path) -> None:
        """Write the tokenizer into the model's folder."""
        save_tokenizer(self.tokenizer, directory, "decoder-only")

    def splits(self) -> Sequence[str]:
        """Name the splits of the text."""
        return self.text.splits()

    def rows(self, split: str) -> WrappedRows | PackedDocuments:
        """Return the rows of a split."""
        if split not in self._rows:
            if split not in self.files:
                raise DataError(f"there is no split {split!r}; there are {', '.join(self.files)}")
            file, length = self.files[split], self.config.length
            if self.config.packing == "packed":
                self._rows[split] = packed_documents(file, length, pad_id(self.tokenizer))
            else:
                self._rows[split] = WrappedRows(file.tokens, length)
        return self._rows[split]

    def gather(self, split: str, rows: Ints) -> Batch:
        """Make the batch of some rows; -1 stands for a row without loss."""
        fields = self.rows(split).gather(rows)
        batch: Batch = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in fields.items()}
        batch["example_ids"] = torch.from_numpy(rows.copy())
        return batch

    def examples(self, split: str) -> RowExamples:
        """Return the rows of a split."""
        return RowExamples(split, len(self.rows(split)))

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> Batch:
        """Make a batch of rows of one split."""
        return self.gather(examples[0]["split"], np.asarray([e["row"] for e in examples], np.int64))

    def batches(self, split: str, plan: BatchPlan) -> RowStream:
        """Return the batches of a split: one gather each, resumed at any position at once."""
        return RowStream(len(self.rows(split)), plan, lambda rows: self.gather(split, rows))

    def token_counts(self, split: str) -> NDArray[np.int64]:
        """Return how often each id occurs in a split, int64[vocabulary_size]."""
        return self.files[split].counts

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show inputs and labels of a row."""
        return explain_decoder_only(self.tokenizer, batch, row)


def build(config: BlocksConfig, context: Context) -> BlocksData:
    """Make the data `language/blocks`."""
    return BlocksData(config, context.build(config.text))
