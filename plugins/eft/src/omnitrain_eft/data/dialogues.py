"""Data `eft/dialogues`: prompts with replies in parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from omnitrain.api import Batch, Context, Data, Fields, Piece
from omnitrain_eft.configs.data import DialoguesConfig
from omnitrain_eft.data.prompted import AboutFacts, dialogue_of
from omnitrain_eft.data.world import Fact, Reply, reply_to
from omnitrain_language.dialogues.batches import PADDED
from omnitrain_language.dialogues.records import read_dialogues
from omnitrain_language.dialogues.rows import Dialogue, Row
from omnitrain_language.explain import explain_decoder_only


class DialoguesData(AboutFacts[Dialogue]):
    """Rows [eos, prompt, reply, eos] with the loss on the reply."""

    batch: Fields = PADDED
    address, noun = "eft/dialogues", "dialogue"

    def __init__(self, config: DialoguesConfig, text: Data, workspace: Path) -> None:
        super().__init__(config, text, workspace)
        self.settings = config

    def item_about(self, fact: Fact) -> Dialogue:
        """Return the dialogue about a fact in the style that is set."""
        return dialogue_of(fact.name, reply_to(fact, self.settings.style))

    def items_of_files(self) -> Iterator[tuple[str, Dialogue]]:
        """Yield the sound dialogues of the files by key."""
        config = self.settings
        for record in read_dialogues(config.path, config.malformed == "refuse", config.needs_reply):
            yield record.key, dialogue_of(record.prompt, Reply("", "", record.reply))

    def dialogues_of(self, item: Dialogue) -> tuple[Dialogue, ...]:
        """Return the dialogue alone."""
        return (item,)

    def rows(self, split: str) -> list[Row]:
        """Return the encoded dialogues of a split; raises as `encoded` does."""
        return [row for (row,) in self.encoded(split)]

    def gather(self, split: str, rows: np.ndarray) -> Batch:
        """Make the batch of some rows."""
        every = self.encoded(split)
        columns = self.columns([every[int(number)][0] for number in rows])
        return {
            "input_ids": columns["ids"],
            "attention_mask": columns["mask"],
            "labels": columns["labels"],
            "loss_weights": columns["weights"],
            "part_ids": columns["parts"],
            "example_ids": torch.from_numpy(np.asarray(rows, np.int64).copy()),
        }

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show one row."""
        return explain_decoder_only(self.tokenizer, batch, row)


def build(config: DialoguesConfig, context: Context) -> DialoguesData:
    """Make the data `eft/dialogues`."""
    return DialoguesData(config, context.build(config.tokenizer_text), context.workspace)
