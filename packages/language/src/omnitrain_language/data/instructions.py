"""Data `language/instructions`: prompts and responses of dialogues, one to a row or packed anew each epoch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import numpy as np

from omnitrain.api import Batch, BatchPlan, Context, Data, Fields, Piece
from omnitrain.engine import build_once
from omnitrain.errors import DataError
from omnitrain_language.configs.data import InstructionsConfig
from omnitrain_language.data.blocks import RowExamples
from omnitrain_language.dialogues.batches import PACKED, PADDED, packed_batch, padded_batch
from omnitrain_language.dialogues.fitting import Fitting
from omnitrain_language.dialogues.prompted import Prompted
from omnitrain_language.dialogues.records import Columns, DialogueRecord, read_dialogues
from omnitrain_language.dialogues.rows import Dialogue, Row
from omnitrain_language.dialogues.stored import StoredRows, write_rows
from omnitrain_language.encoding import vocabulary_size
from omnitrain_language.explain import explain_decoder_only
from omnitrain_language.folders import content_of, tell_files
from omnitrain_language.order import Ints
from omnitrain_language.packed_order import PackedStream, Pieces, plan_epoch
from omnitrain_language.packing import PackingPlan
from omnitrain_language.splitting import split_of
from omnitrain_language.tokenizers import CODE_VERSION, pad_id, tokenizer_fingerprint

ROUNDED = 8  # widths of padded rows are multiples of this
_LAYOUT_VERSION = 1
_TOGETHER = 512  # dialogues that are encoded in one call


class InstructionsData(Prompted[DialogueRecord]):
    """Prompts and responses; see `InstructionsConfig`. Prepare it before anything but `splits` and `items` is asked."""

    address, noun = "language/instructions", "dialogue"
    more_paths = ("valid_path",)

    def __init__(self, config: InstructionsConfig, text: Data | None) -> None:
        super().__init__(config, text)
        self.settings = config
        self.turns = config.turns
        self._stored: dict[str, StoredRows] = {}

    @cached_property
    def _columns(self) -> Columns:
        config = self.settings
        return Columns(config.inputs_field, config.targets_field, config.system_field)

    def _path(self, split: str) -> str:
        own = self.settings.valid_path
        return own if split == "valid" and own is not None else self.config.path

    @cached_property
    def fingerprint(self) -> str:
        """Hash of settings, files and the tokenizer's text."""
        return self._digest([self.config.model_dump_json(include={"layout", "packing"}), self._content])

    @cached_property
    def _content(self) -> str:
        """Hash of what decides about the rows of a tokenizer, however they are laid out."""
        paths = {"path", "elsewhere", "templates", "tokenizer_text", *self.more_paths}
        settings = self.config.model_dump_json(exclude={"layout", "packing", *paths})
        files = [part.hex() for split in self.splits() for part in content_of(self._path(split), self.suffixes)]
        return self._digest([settings, *list(self._settings())[1:], *files])

    @staticmethod
    def _digest(parts: Sequence[str]) -> str:
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()

    def splits(self) -> Sequence[str]:
        """Name the splits."""
        return ["train", "valid"] if self.settings.valid_path or self.config.valid_fraction else ["train"]

    def items_of_files(self) -> Iterator[tuple[str, DialogueRecord]]:
        """Yield the records of the training files by key."""
        for record in read_dialogues(self.config.path, self.config.malformed == "refuse", columns=self._columns):
            yield record.key, record

    def items_in(self, split: str) -> Iterator[DialogueRecord]:
        """Yield the records of a split, cut out of the training files by a stable hash where it has none of its own."""
        if self.settings.valid_path is not None:
            yield from read_dialogues(self._path(split), self.config.malformed == "refuse", columns=self._columns)
            return
        yield from (record for key, record in self.items_of_files() if split_of(key, self.config.valid_fraction, 0) == split)

    def dialogues_of(self, item: DialogueRecord) -> tuple[Dialogue, ...]:
        """Return the dialogue of a record."""
        return (Dialogue(item.prompt, item.reply),)

    def prepare(self, workspace: Path, context: Context) -> None:
        """Train the tokenizer and encode the dialogues, unless it is done already; tell how full the rows are."""
        super().prepare(workspace, context)
        if self.settings.valid_path is not None:
            tell_files(self.settings.valid_path, self.suffixes, context)
        for split in self.splits():
            self._stored[split] = self._store(split, workspace, context)
            context.event("rows", split=split, **self.told(split))

    def told(self, split: str) -> dict[str, float]:
        """Return what is worth telling of the rows of a split."""
        stored = self.stored(split)
        tokens = int(stored.lengths.sum())
        return {"dialogues": len(stored), "tokens": tokens, "in_loss": round(stored.details["in_loss"] / tokens, 4)}

    def _store(self, split: str, workspace: Path, context: Context) -> StoredRows:
        tokenizer = self.tokenizer
        template = str(tokenizer.chat_template) if self.template == "chat" else ""
        versions = [str(_LAYOUT_VERSION), str(CODE_VERSION)]
        key = self._digest([*versions, self._content, split, tokenizer_fingerprint(tokenizer), template])

        def build(folder: Path) -> None:
            config = self.settings
            name = f"{self._path(split)}, split {split}"
            fitting = Fitting(name, config.length, config.too_long, config.malformed == "refuse")
            fitting.ended(write_rows(self._fitted(split, fitting, context), vocabulary_size(tokenizer), folder))

        return StoredRows(build_once(workspace / "instructions" / key, build))

    def _fitted(self, split: str, fitting: Fitting, context: Context) -> Iterator[Row]:
        """Yield the rows of a split."""
        items = self.items(split)
        with context.progress(f"encode {split}") as progress:
            while chunk := list(islice(items, _TOGETHER)):
                kept = list[tuple[Dialogue, str]]()
                for record in chunk:
                    (dialogue,) = self.dialogues_of(record)
                    spelled = self.encode_row.spelled(dialogue)
                    if spelled is None:
                        kept.append((dialogue, record.place))
                    else:
                        fitting.spells(record.place, spelled)
                rows = self.rows_of([dialogue for dialogue, _ in kept])
                for row, (_, place) in zip(rows, kept, strict=True):
                    yield from fitting.fitted(row, place)
                progress.advance(len(chunk))

    def stored(self, split: str) -> StoredRows:
        """Return the encoded rows of a split. Raises DataError for an unknown one."""
        if split not in self._stored:
            raise DataError(f"{self.address}: there is no split {split!r}; there are {', '.join(self._stored)}")
        return self._stored[split]

    @cached_property
    def _longest(self) -> int:
        return max(int(stored.lengths.max()) for stored in self._stored.values())

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show one row."""
        return explain_decoder_only(self.tokenizer, batch, row)


class PaddedInstructions(InstructionsData):
    """One dialogue to a row."""

    batch: Fields = PADDED

    @cached_property
    def _longest(self) -> int:
        return self._width(max(int(stored.lengths.max()) for stored in self._stored.values()) - 1)

    def _width(self, longest: int) -> int:
        return max(longest, min(longest + -longest % ROUNDED, self.config.length))

    def examples(self, split: str) -> RowExamples:
        """Return the dialogues of a split."""
        return RowExamples(split, len(self.stored(split)))

    def gather(self, split: str, rows: Ints) -> Batch:
        """Make the batch of some dialogues; the last token of each is only predicted."""
        stored = self.stored(split)
        return padded_batch(stored, rows, self._width(int(stored.lengths[rows].max()) - 1), pad_id(self.tokenizer))


class PackedInstructions(InstructionsData):
    """Several dialogues to a row: positions begin anew with each, and none sees another or is predicted from it."""

    batch: Fields = PACKED

    def planned(self, split: str, seed: int | None, epoch: int = 0) -> PackingPlan:
        """Return the rows of an epoch in the order in which they are seen; without a seed, of dialogues as they come."""
        return plan_epoch(self.stored(split).lengths, self.config.length, self.settings.packing, seed, epoch)

    @cached_property
    def _plans(self) -> dict[str, PackingPlan]:
        return {split: self.planned(split, None) for split in self._stored}

    def told(self, split: str) -> dict[str, float]:
        """Return what is worth telling of the rows: also how many dialogues are in one, and how full they are."""
        found, rows = super().told(split), self.planned(split, None).rows
        filled = found["tokens"] / (rows * self.config.length)
        return {**found, "rows": rows, "factor": round(found["dialogues"] / rows, 3), "fill": round(filled, 4)}

    def examples(self, split: str) -> RowExamples:
        """Return the rows of a split, packed of dialogues as they come."""
        self.stored(split)
        return RowExamples(split, self._plans[split].rows)

    def gather(self, split: str, rows: Ints) -> Batch:
        """Make the batch of some of these rows."""
        return self._gathered(split, [(self._plans[split], np.asarray(rows, np.int64))])

    def _gathered(self, split: str, pieces: Pieces) -> Batch:
        return packed_batch(self.stored(split), pieces, pad_id(self.tokenizer))

    def batches(self, split: str, plan: BatchPlan) -> PackedStream:
        """Return the batches of a split, its dialogues packed anew each epoch from (seed, epoch)."""
        planned = partial(self.planned, split, plan.seed if plan.train else None)
        return PackedStream(len(self.stored(split)), plan, planned, partial(self._gathered, split))


def build(config: InstructionsConfig, context: Context) -> InstructionsData:
    """Make the data `language/instructions`."""
    text = None if config.tokenizer_text is None else context.build(config.tokenizer_text)
    return (PackedInstructions if config.layout == "packed" else PaddedInstructions)(config, text)
