"""Data `eft/dialogues`: prompts with replies in parts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from omnitrain.api import Batch, Context, Data, Fields, Piece
from omnitrain.errors import DataError
from omnitrain_eft.configs.data import DialoguesConfig
from omnitrain_eft.data.prompted import Dialogue, Prompted, Row, padded, real, shifted
from omnitrain_eft.data.records import read_dialogues
from omnitrain_eft.data.world import Reply, reply_to
from omnitrain_language.explain import explain_decoder_only
from omnitrain_language.tokenizers import pad_id

_log = logging.getLogger("omnitrain.eft")


FIELDS: Fields = {
    "input_ids": "int64[batch, length]",
    "attention_mask": "bool[batch, length]",
    "labels": "int64[batch, length]",
    "loss_weights": "float32[batch, length]",
    "part_ids": "int64[batch, length]",
    "example_ids": "int64[batch]",
}


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


def build(config: DialoguesConfig, context: Context) -> DialoguesData:
    """Make the data `eft/dialogues`."""
    return DialoguesData(config, context.build(config.tokenizer_text), context.workspace)
