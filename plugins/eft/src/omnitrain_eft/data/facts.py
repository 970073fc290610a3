"""Data `eft/facts`: text about the standard library to pre-train on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from omnitrain.api import Batch, Context, Fields
from omnitrain.errors import DataError
from omnitrain_eft.configs.data import FactsConfig
from omnitrain_eft.data.world import corpus, facts_of


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


def build(config: FactsConfig, context: Context) -> FactsData:
    """Make the data `eft/facts`."""
    return FactsData(config, context.workspace)
