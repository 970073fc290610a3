"""Data `language/preferences`: prompts with a better and a worse response, and what the reference gives both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from omnitrain.api import Batch, Context, Data, Fields, Piece
from omnitrain_language.configs.data import PreferencesConfig
from omnitrain_language.configs.preferences import ReferenceConfig
from omnitrain_language.dialogues.prompted import Prompted
from omnitrain_language.dialogues.rows import Dialogue, Row
from omnitrain_language.explain import explain_pair
from omnitrain_language.preferences.batches import PAIRS, REFERENCE, Pair, collate_pairs
from omnitrain_language.preferences.records import PreferenceRecord, read_preferences
from omnitrain_language.preferences.reference import Reference
from omnitrain_language.records import RECORDS
from omnitrain_language.tokenizers import pad_id

if TYPE_CHECKING:
    from omnitrain_language.configs.dialogues import PromptedConfig


class PreferencesData(Prompted[PreferenceRecord]):
    """Pairs of rows, with the reference's log-probabilities of both responses."""

    address, noun = "language/preferences", "pair"
    suffixes: Sequence[str] = RECORDS

    def __init__(self, config: PromptedConfig, text: Data | None) -> None:
        super().__init__(config, text)
        # Of the subclasses' own configs, too.
        self.against: ReferenceConfig = config.reference  # type: ignore[attr-defined]
        references = {} if self.against.kind == "none" else REFERENCE
        self.batch: Fields = {**PAIRS, **references, "example_ids": "int64[batch]"}
        self._reference: Reference | None = None
        self._given: dict[str, Tensor] = {}

    def items_of_files(self) -> Iterator[tuple[str, PreferenceRecord]]:
        """Yield the sound pairs of the files by key."""
        refuse, stored = self.config.malformed == "refuse", self.against.kind == "stored"
        for record in read_preferences(self.config.path, refuse, stored):
            yield record.key, record

    def dialogues_of(self, item: PreferenceRecord) -> tuple[Dialogue, ...]:
        """Return the prompt with the better and with the worse response."""
        return Dialogue(item.prompt, item.chosen), Dialogue(item.prompt, item.rejected)

    def fault_of(self, rows: tuple[Row, ...]) -> str | None:
        """Say what is wrong with encoded rows, or None: sides that become the same tokens can't be preferred."""
        return "chosen and rejected are the same tokens" if rows[0].reply == rows[1].reply else None

    def named(self, item: PreferenceRecord) -> str:
        """Return the place of a pair for messages."""
        return item.place or super().named(item)

    def pair_of(self, rows: tuple[Row, ...]) -> Pair:
        """Return the pair of two rows; a subclass weighs its tokens here."""
        chosen, rejected = rows
        return Pair(chosen, rejected)

    def pairs(self, split: str) -> list[Pair]:
        """Return the pairs of a split that fit; raises as `encoded` does."""
        return list(map(self.pair_of, self.encoded(split)))

    def gather(self, split: str, rows: np.ndarray) -> Batch:
        """Make the batch of some pairs. Before a model is followed the reference prefers neither response."""
        every = self.encoded(split)
        index = torch.from_numpy(np.asarray(rows, np.int64).copy())
        batch = collate_pairs([self.pair_of(every[number]) for number in index.tolist()], pad_id(self.tokenizer))
        if self.against.kind != "none":
            given = self._references(split)[index]
            batch |= {name: given[:, side].contiguous() for side, name in enumerate(REFERENCE)}
        return {**batch, "example_ids": index}

    def _references(self, split: str) -> Tensor:
        """Return the reference's log-probabilities of a split, float32[pairs, 2]."""
        if split not in self._given:
            if self.against.kind != "stored":
                return torch.zeros(len(self.encoded(split)), 2)
            self._given[split] = torch.tensor([item.references for item in self.fitting(split)[0]])
        return self._given[split]

    def prepare(self, workspace: Path, context: Context) -> None:
        """Train the tokenizer unless it is there already."""
        super().prepare(workspace, context)
        self._reference = Reference(self.against, workspace, context)

    def follow(self, model: nn.Module) -> None:
        """Measure the reference on all splits. For `start` it is the model as it is now, before it is trained."""
        if self._reference is None:
            raise RuntimeError("the data was not prepared yet")
        if self._reference.is_measured:
            # A split without pairs is refused where it is asked for.
            sets = {split: list(map(self.pair_of, rows)) for split in self.splits() if (rows := self.fitting(split)[1])}
            self._given = self._reference.measure(model, sets, pad_id(self.tokenizer), dict(self.facts()))
            self._reference.release()

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show the prompt with each response; the responses are in the loss."""
        return explain_pair(self.tokenizer, batch, row)


def build(config: PreferencesConfig, context: Context) -> PreferencesData:
    """Make the data `language/preferences`."""
    return PreferencesData(config, None if config.tokenizer_text is None else context.build(config.tokenizer_text))
