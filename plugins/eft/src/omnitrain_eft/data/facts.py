"""Data `eft/facts` (text to pre-train on) and `eft/dialogues` (prompts with replies)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from omnitrain.api import Batch, Context, Data, Fields, Piece, Prepares
from omnitrain.errors import DataError
from omnitrain_eft.configs.models import DialoguesConfig, FactsConfig, PromptedConfig
from omnitrain_eft.data.prompts import Prompt, check_template, prompt_ids
from omnitrain_eft.data.records import read_dialogues
from omnitrain_eft.data.world import Fact, Reply, corpus, facts_of, reply_to
from omnitrain_language.data.text import split_of
from omnitrain_language.explain import explain_decoder_only
from omnitrain_language.tokenizers import pad_id, prepare_tokenizer, save_tokenizer, tokenizer_facts
from omnitrain_language.tokens import texts_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_log = logging.getLogger("omnitrain.eft")
PARTS = ("style", "name", "content", "end")
FIELDS: Fields = {
    "input_ids": "int64[batch, length]",
    "attention_mask": "bool[batch, length]",
    "labels": "int64[batch, length]",
    "loss_weights": "float32[batch, length]",
    "part_ids": "int64[batch, length]",
    "example_ids": "int64[batch]",
}


class FactsData:
    """Documents about facts, all in split `train`; a text for `language/blocks` and for tokenizers."""

    def __init__(self, config: FactsConfig, workspace: Path) -> None:
        self.batch: Fields = {"text": "object"}
        self.config = config
        self._workspace = workspace
        self._documents: list[dict[str, str]] = []

    @property
    def fingerprint(self) -> str:
        """Hash of all documents."""
        digest = hashlib.blake2b(digest_size=16)
        for document in self.examples("train"):
            digest.update(document["text"].encode() + b"\0")
        return digest.hexdigest()

    def splits(self) -> Sequence[str]:
        """Name the only split."""
        return ["train"]

    def examples(self, split: str) -> Sequence[Mapping[str, str]]:
        """Return {"id", "text"} of each document."""
        if split != "train":
            raise DataError(f"eft/facts: there is no split {split!r}; there is train")
        if not self._documents:
            facts = facts_of(self.config.facts, self._workspace)
            self._documents = [{"id": name, "text": text} for name, text in corpus(facts, self.config)]
            if not self._documents:
                raise DataError("eft/facts: lines and dialogues are both 0, so there is no document; set one of them")
        return self._documents

    def collate(self, examples: Sequence[Mapping[str, str]]) -> Batch:
        """Make a batch of texts."""
        return {"text": [example["text"] for example in examples]}


def build_facts(config: FactsConfig, context: Context) -> FactsData:
    """Make the data `eft/facts`."""
    return FactsData(config, context.workspace)


@dataclass(frozen=True)
class Dialogue:
    """A prompt, which may hold earlier turns, and the reply to it."""

    prompt: Prompt
    reply: Reply


@dataclass(frozen=True)
class Row:
    """Ids of prompt and reply, eos behind, and for each token of the reply which part it belongs to."""

    prompt: list[int]
    reply: list[int]
    parts: list[int]


def encode_reply(reply: Reply, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """Return (ids, parts) of a reply with a blank in front and eos behind; a token belongs to the part that it ends in."""
    encoded = tokenizer(f" {reply.text}", add_special_tokens=False, return_offsets_mapping=True)
    ends, end = [], 0
    for part in (reply.style, reply.name, reply.content):
        end += len(part) + 1 if part else 0
        ends.append(end)
    parts = [next((i for i, e in enumerate(ends) if stop <= e), 2) for _, stop in encoded["offset_mapping"]]
    return [*encoded.input_ids, int(tokenizer.eos_token_id)], [*parts, PARTS.index("end")]


def padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    """Return int64[rows, longest], filled at the end."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], dtype=torch.int64)


def real(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return bool[rows, longest]: where `padded` has tokens of the rows."""
    lengths = torch.tensor([len(row) for row in rows])
    return torch.arange(int(lengths.max())) < lengths[:, None]


def shifted(row: Row, pad: int) -> tuple[list[int], list[int], list[float], list[int]]:
    """Return (inputs, labels, weights, parts) of a row: labels[t] is what position t predicts, the loss is on the reply."""
    ids = [*row.prompt, *row.reply]
    head = len(row.prompt) - 1
    return ids[:-1], ids[1:], [0.0] * head + [1.0] * len(row.reply), [-1] * head + row.parts


class Prompted:
    """What data of prompts has in common: built-in facts or files, a tokenizer, splits."""

    def __init__(self, config: PromptedConfig, text: Data, workspace: Path) -> None:
        check_template(config.template, "template")
        self.config: PromptedConfig = config
        self.text = text
        self.workspace = workspace
        self._tokenizer: PreTrainedTokenizerFast | None = None

    def prepare(self, workspace: Path, context: Context) -> None:
        """Train the tokenizer unless it is there already."""
        if isinstance(self.text, Prepares):
            self.text.prepare(workspace, context)
        texts = texts_of(self.text, self.text.splits()[0])
        fingerprint = self.text.fingerprint if self.config.tokenizer.path is None else ""
        self._tokenizer = prepare_tokenizer(self.config.tokenizer, texts, fingerprint, workspace)

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer, once prepared."""
        if self._tokenizer is None:
            raise RuntimeError("the data was not prepared yet")
        return self._tokenizer

    def splits(self) -> Sequence[str]:
        """Name the splits."""
        return ["train", "valid"] if self.config.path == "builtin" or self.config.valid_fraction else ["train"]

    def facts_in(self, split: str) -> Sequence[Fact]:
        """Return the built-in facts of a split: those behind each other in the order by hash."""
        found = facts_of(self.config.facts, self.workspace)
        train, valid = self.config.train_facts, self.config.valid_facts
        return found[:train] if split == "train" else found[train : train + valid]

    def in_split(self, key: str, split: str) -> bool:
        """Whether a record of a file belongs to a split."""
        return split_of(key, self.config.valid_fraction, 0) == split

    def facts(self) -> Mapping[str, Any]:
        """Return vocabulary_size, pad_id, eos_id and the names of the parts."""
        return {**tokenizer_facts(self.tokenizer), "group_names": {"part_ids": list(PARTS)}}

    def save_assets(self, directory: Path) -> None:
        """Write the tokenizer into the model's folder."""
        save_tokenizer(self.tokenizer, directory, "decoder-only")

    def prompt(self, prompt: Prompt) -> list[int]:
        """Return the ids of a prompt, behind the start token."""
        ids = prompt_ids(prompt, self.config.template, self.tokenizer)
        eos = int(self.tokenizer.eos_token_id)
        # A tokenizer that was trained here marks the start of a row by its end of sequence once it is saved, not before.
        return ids if self.config.tokenizer.path is not None or ids[:1] == [eos] else [eos, *ids]

    def row(self, dialogue: Dialogue) -> Row:
        """Return the ids of a dialogue."""
        reply, parts = encode_reply(dialogue.reply, self.tokenizer)
        return Row(self.prompt(dialogue.prompt), reply, parts)

    def fits(self, row: Row) -> bool:
        """Whether a row is no longer than `length`."""
        return len(row.prompt) + len(row.reply) <= self.config.length


class DialoguesData(Prompted):
    """Rows [eos, prompt, reply, eos] with the loss on the reply."""

    batch: Fields = FIELDS

    def __init__(self, config: DialoguesConfig, text: Data, workspace: Path) -> None:
        super().__init__(config, text, workspace)
        self.settings = config
        self._rows: dict[str, list[Row]] = {}

    @property
    def fingerprint(self) -> str:
        """Hash of settings, dialogues and the tokenizer's text."""
        digest = hashlib.blake2b(self.settings.model_dump_json(exclude={"path", "tokenizer_text"}).encode(), digest_size=16)
        digest.update(self.text.fingerprint.encode())
        for split in self.splits():
            for dialogue in self.dialogues(split):
                digest.update(f"{split}\0{dialogue.prompt}\0{dialogue.reply}\0".encode())
        return digest.hexdigest()

    def dialogues(self, split: str) -> Iterator[Dialogue]:
        """Yield the dialogues of a split.

        Raises DataError for an unknown split, and for malformed records where they are refused.
        """
        if split not in self.splits():
            raise DataError(f"eft/dialogues: there is no split {split!r}; there are {', '.join(self.splits())}")
        config = self.settings
        if config.path == "builtin":
            for fact in self.facts_in(split):
                yield Dialogue(fact.name, reply_to(fact, config.style))
            return
        for record in read_dialogues(config.path, config.malformed == "refuse", config.needs_reply):
            if self.in_split(record.key, split):
                yield Dialogue(record.prompt, Reply("", "", record.reply))

    def rows(self, split: str) -> list[Row]:
        """Return the encoded dialogues of a split.

        Raises DataError where there is none, and for rows longer than `length` where malformed ones are refused.
        """
        if split not in self._rows:
            rows = [self.row(dialogue) for dialogue in self.dialogues(split)]
            long = [len(row.prompt) + len(row.reply) for row in rows if not self.fits(row)]
            if long and self.settings.malformed == "refuse":
                raise DataError(
                    f"{self.settings.path}: {len(long)} dialogues of split {split} are longer than length "
                    f"{self.settings.length} (the longest has {max(long)} tokens): raise length, or set malformed: skip"
                )
            if long:
                _log.warning("left out %d dialogues of split %s, longer than length %d", len(long), split, self.settings.length)
            rows = [row for row in rows if self.fits(row)]
            if not rows:
                raise DataError(f"{self.settings.path}: split {split!r} has no dialogue that fits; it needs more records")
            self._rows[split] = rows
        return self._rows[split]

    def examples(self, split: str) -> Sequence[Mapping[str, Any]]:
        """Return the rows of a split."""
        return [{"split": split, "row": number} for number in range(len(self.rows(split)))]

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> Batch:
        """Make a batch of rows of one split."""
        return self.gather(examples[0]["split"], np.asarray([e["row"] for e in examples], np.int64))

    def gather(self, split: str, rows: np.ndarray) -> Batch:
        """Make the batch of some rows."""
        every, pad = self.rows(split), pad_id(self.tokenizer)
        columns = [shifted(every[int(number)], pad) for number in rows]
        ids, labels, weights, parts = (list(column) for column in zip(*columns, strict=True))
        width = max(map(len, ids))
        return {
            "input_ids": padded(ids, pad),
            "attention_mask": real(ids),
            "labels": padded(labels, pad),
            "loss_weights": torch.tensor([[*w, *[0.0] * (width - len(w))] for w in weights], dtype=torch.float32),
            "part_ids": padded(parts, -1),
            "example_ids": torch.from_numpy(np.asarray(rows, np.int64).copy()),
        }

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show one row."""
        return explain_decoder_only(self.tokenizer, batch, row)


def build_dialogues(config: DialoguesConfig, context: Context) -> DialoguesData:
    """Make the data `eft/dialogues`."""
    return DialoguesData(config, context.build(config.tokenizer_text), context.workspace)
