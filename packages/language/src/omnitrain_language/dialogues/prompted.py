"""Prompts with replies as rows of tokens: what data of dialogues and of preferences shares."""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from omnitrain.api import Batch, Context, Data, Prepares
from omnitrain.errors import DataError, Unreachable
from omnitrain_language.configs.dialogues import PromptedConfig
from omnitrain_language.dialogues.messages import Prompt, messages_of
from omnitrain_language.dialogues.presets import presets, written_in
from omnitrain_language.dialogues.rows import Dialogue, Row, RowEncoder, Turns
from omnitrain_language.dialogues.templates import check_template, prompt_ids
from omnitrain_language.folders import named_by, tell_files
from omnitrain_language.records import RECORDS
from omnitrain_language.splitting import split_of
from omnitrain_language.tokenizers import pad_id, prepare_tokenizer, save_tokenizer, starts_once_saved, tokenizer_facts
from omnitrain_language.tokens import texts_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_log = logging.getLogger("omnitrain.language")


def padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    """Return int64[rows, longest], filled at the end."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], dtype=torch.int64)


Item = TypeVar("Item")


@dataclass
class _LeftOut:
    """Items of a split whose rows can't be used: how many, and the first of each kind by name."""

    path: str
    split: str
    noun: str
    refuse: bool
    lengths: list[int] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def long(self, length: int, name: str) -> None:
        """Count an item that is too long."""
        self.lengths.append(length)
        self.first.setdefault("long", name)

    def other(self, fault: str, name: str) -> None:
        """Count an item with another fault."""
        self.faults[fault] += 1
        self.first.setdefault(fault, name)

    def tell(self, length: int) -> None:
        """Tell what was left out. Raises DataError where that is refused."""
        if self.lengths:
            longest = f"{len(self.lengths)} {self.noun}s of split {self.split} are longer than length {length} (the longest has"
            self._tell(f"{longest} {max(self.lengths)} tokens; the first is {self.first['long']})", "raise length")
        for fault, count in self.faults.items():
            self._tell(
                f"{count} {self.noun}s of split {self.split}: {fault} (the first is {self.first[fault]})", "correct them"
            )

    def _tell(self, what: str, cure: str) -> None:
        if self.refuse:
            raise DataError(f"{self.path}: {what}: {cure}, or set malformed: skip")
        _log.warning("%s: left out %s", self.path, what)


class Prompted(ABC, Generic[Item]):
    """What data of prompts has in common: files of records, a tokenizer, splits, and rows that fit.

    An item is what the data has one row, or one row for each of several replies, of. address: names the component in errors.
    noun: what one item is called there. parts: names of the parts of replies, that of the end of a turn last. turns: which
    replies of a dialogue have parts. suffixes: of the files that are read. more_paths: settings that name
    files whose content counts, as `path` does.
    """

    address: str
    noun: str
    parts: Sequence[str] = ("reply", "end")
    turns: Turns = "last"
    suffixes: Sequence[str] = RECORDS
    more_paths: Sequence[str] = ()

    def __init__(self, config: PromptedConfig, text: Data | None) -> None:
        named = presets(config.templates)
        check_template(config.template, "template", named)
        self.config: PromptedConfig = config
        self._preset = named.get(config.template)
        # A template by name becomes the tokenizer's own.
        self.template = "chat" if config.template in named else config.template
        self.text = text
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self._fitting: dict[str, tuple[list[Item], list[tuple[Row, ...]]]] = {}

    @abstractmethod
    def items_of_files(self) -> Iterator[tuple[str, Item]]:
        """Yield every item of the files behind the text by which splits are cut."""

    @abstractmethod
    def dialogues_of(self, item: Item) -> tuple[Dialogue, ...]:
        """Return what is encoded of an item: its prompt with each of its replies."""

    @abstractmethod
    def gather(self, split: str, rows: np.ndarray) -> Batch:
        """Make the batch of some items."""

    @property
    def reads_files(self) -> bool:
        """Whether the items are those of files; else `items_in` gives them."""
        return True

    @property
    def fingerprint(self) -> str:
        """Hash of settings, items and the tokenizer's text."""
        digest = hashlib.blake2b(digest_size=16)
        for part in self._settings():
            digest.update(part.encode())
        for split in self.splits():
            for item in self.items(split):
                digest.update(f"{split}\0{item}\0".encode())
        return digest.hexdigest()

    def _settings(self) -> Iterator[str]:
        """Yield what decides about the rows besides the items."""
        paths = {"path", "elsewhere", "templates", "tokenizer_text", *self.more_paths}
        yield self.config.model_dump_json(exclude=paths)
        yield "" if self._preset is None else str(self._preset)
        yield "" if self.text is None else self.text.fingerprint

    def items(self, split: str) -> Iterator[Item]:
        """Yield the items of a split.

        Raises DataError for an unknown split, and for malformed records where they are refused.
        """
        if split not in self.splits():
            raise DataError(f"{self.address}: there is no split {split!r}; there are {', '.join(self.splits())}")
        yield from self.items_in(split)

    def items_in(self, split: str) -> Iterator[Item]:
        """Yield the items of a split that there is."""
        for key, item in self.items_of_files():
            if split_of(key, self.config.valid_fraction, 0) == split:
                yield item

    def fault_of(self, rows: tuple[Row, ...]) -> str | None:
        """Say what is wrong with the encoded rows of one item beside their length, or None."""
        return None

    def named(self, item: Item) -> str:
        """Return how messages tell one item from others."""
        return str(item)[:120]

    def encoded(self, split: str) -> list[tuple[Row, ...]]:
        """Return the rows of every item of a split that fits.

        Raises DataError where there is none, and for rows longer than `length` where malformed ones are refused.
        """
        rows = self.fitting(split)[1]
        if not rows:
            raise DataError(f"{self.config.path}: split {split!r} has no {self.noun} that fits; it needs more records")
        return rows

    def fitting(self, split: str) -> tuple[list[Item], list[tuple[Row, ...]]]:
        """Return the items of a split that fit and the rows of each; raises as `encoded` does, but for none."""
        if split not in self._fitting:
            left = _LeftOut(self.config.path, split, self.noun, self.config.malformed == "refuse")
            items: list[Item] = []
            kept: list[tuple[Row, ...]] = []
            for item, dialogues in self._sound(split):
                rows = tuple(map(self.row, dialogues))
                longest = max(map(len, rows))
                if longest > self.config.length:
                    left.long(longest, self.named(item))
                elif fault := self.fault_of(rows):
                    left.other(fault, self.named(item))
                else:
                    items.append(item)
                    kept.append(rows)
            left.tell(self.config.length)
            self._fitting[split] = items, kept
        return self._fitting[split]

    def _sound(self, split: str) -> Iterator[tuple[Item, tuple[Dialogue, ...]]]:
        """Yield, with what is encoded of them, the items that spell out no special token where it would mean the token."""
        left_out = 0
        for item in self.items(split):
            dialogues = self.dialogues_of(item)
            spelled = next((found for dialogue in dialogues if (found := self.encode_row.spelled(dialogue))), None)
            if spelled is None:
                yield item, dialogues
                continue
            left_out += 1
            if self.config.malformed == "refuse":
                raise DataError(
                    f"{self.config.path}: a {self.noun} of split {split} spells out {spelled!r}, which would end or begin a "
                    f"turn here: {str(item)[:120]}; write it in another way, or set malformed: skip to leave it out"
                )
        if left_out:
            told = (self.config.path, left_out, self.noun, split)
            _log.warning("%s: left out %d %ss of split %s, which spell out special tokens", *told)

    def examples(self, split: str) -> Sequence[Mapping[str, Any]]:
        """Return the items of a split by number."""
        return [{"split": split, "row": number} for number in range(len(self.encoded(split)))]

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> Batch:
        """Make a batch of items of one split."""
        return self.gather(examples[0]["split"], np.asarray([e["row"] for e in examples], np.int64))

    def columns(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Return ids, mask, labels, weights and parts [rows, longest] of rows.

        labels[t] is what position t predicts; weights are 1 on the reply; parts are -1 outside of it.
        """
        pad = pad_id(self.tokenizer)
        whole = [[*row.prompt, *row.reply] for row in rows]
        heads = [len(row.prompt) - 1 for row in rows]
        lengths = torch.tensor([len(ids) - 1 for ids in whole])
        parts = padded([[-1] * head + row.parts for head, row in zip(heads, rows, strict=True)], -1)
        return {
            "ids": padded([ids[:-1] for ids in whole], pad),
            "mask": torch.arange(int(lengths.max())) < lengths[:, None],
            "labels": padded([ids[1:] for ids in whole], pad),
            "weights": (parts >= 0).float(),
            "parts": parts,
        }

    def prepare(self, workspace: Path, context: Context) -> None:
        """Train the tokenizer unless it is there already. Raises Unreachable for files that lie `elsewhere`."""
        if self.reads_files and self.config.elsewhere and not named_by(self.config.path, self.suffixes).files:
            raise Unreachable(f"{self.config.path} is not on this machine.")
        if isinstance(self.text, Prepares):
            self.text.prepare(workspace, context)
        if self.reads_files:
            tell_files(self.config.path, self.suffixes, context)
        text = self.text
        texts = self._own_texts() if text is None else texts_of(text, text.splits()[0])
        fingerprint = "" if self.config.tokenizer.path is not None else (self if text is None else text).fingerprint
        tokenizer = prepare_tokenizer(self.config.tokenizer, texts, fingerprint, workspace, context)
        self._tokenizer = written_in(tokenizer, self.config.template, self.config.templates, context)

    def _own_texts(self) -> Iterator[str]:
        for item in self.items("train"):
            for dialogue in self.dialogues_of(item):
                yield from (message["content"] for message in messages_of(dialogue.prompt))
                yield dialogue.reply

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer, once prepared."""
        if self._tokenizer is None:
            raise RuntimeError("the data was not prepared yet")
        return self._tokenizer

    @cached_property
    def encode_row(self) -> RowEncoder:
        """What encodes dialogues, once prepared."""
        return RowEncoder(self.tokenizer, self.template, self.turns)

    def splits(self) -> Sequence[str]:
        """Name the splits."""
        return ["train", "valid"] if not self.reads_files or self.config.valid_fraction else ["train"]

    def facts(self) -> Mapping[str, Any]:
        """Return vocabulary_size, pad_id, eos_id, the names of the parts, and the positions that a model needs."""
        told = {"group_names": {"part_ids": list(self.parts)}, "positions": self._longest, "positions_setting": "length"}
        return {**tokenizer_facts(self.tokenizer), **told}

    @cached_property
    def _longest(self) -> int:
        """The longest row that is trained on; its last token is only predicted."""
        return max(len(row) for rows in self.encoded("train") for row in rows) - 1

    def save_assets(self, directory: Path) -> None:
        """Write the tokenizer into the model's folder."""
        save_tokenizer(self.tokenizer, directory, "decoder-only")

    def prompt(self, prompt: Prompt) -> list[int]:
        """Return the ids of a prompt, behind the start token."""
        ids = prompt_ids(prompt, self.template, self.tokenizer)
        eos = int(self.tokenizer.eos_token_id)
        return [eos, *ids] if self._unmarked and ids[:1] != [eos] else ids

    @cached_property
    def _unmarked(self) -> bool:
        return starts_once_saved(self.tokenizer)

    def rows_of(self, dialogues: Sequence[Dialogue]) -> list[Row]:
        """Return the ids of dialogues. Raises DataError for a chat template that can't be cut into prompt and reply."""
        found = self.encode_row.rows(dialogues)
        return [row.begun_with(int(self.tokenizer.eos_token_id)) for row in found] if self._unmarked else found

    def row(self, dialogue: Dialogue) -> Row:
        """Return the ids of a dialogue; raises as `rows_of` does."""
        return self.rows_of([dialogue])[0]
