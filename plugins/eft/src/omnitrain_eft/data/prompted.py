"""Prompts with replies as rows of tokens: what dialogues and preferences share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from omnitrain.api import Context, Data, Prepares
from omnitrain_eft.configs.data import PromptedConfig
from omnitrain_eft.data.prompts import Prompt, check_template, prompt_ids
from omnitrain_eft.data.world import Fact, Reply, facts_of
from omnitrain_language.data.text import split_of
from omnitrain_language.tokenizers import prepare_tokenizer, save_tokenizer, tokenizer_facts
from omnitrain_language.tokens import texts_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


PARTS = ("style", "name", "content", "end")


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
