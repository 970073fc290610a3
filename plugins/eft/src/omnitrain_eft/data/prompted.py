"""Dialogues and preferences about facts of the standard library, or of files: what the two share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from omnitrain.api import Data
from omnitrain_eft.configs.data import PromptedConfig
from omnitrain_eft.data.world import Fact, Reply, facts_of
from omnitrain_language.dialogues.messages import Prompt
from omnitrain_language.dialogues.prompted import Prompted
from omnitrain_language.dialogues.rows import Dialogue

PARTS = ("style", "name", "content", "end")
Item = TypeVar("Item")


def dialogue_of(prompt: Prompt, reply: Reply) -> Dialogue:
    """Return a prompt with a reply in parts."""
    return Dialogue(prompt, reply.text, reply.part_ends)


def content_of(dialogue: Dialogue) -> str:
    """Return the content of a reply in parts, the whole reply where it has none."""
    _, name_end, _ = dialogue.part_ends
    return dialogue.reply[name_end + 1 :] or dialogue.reply


class AboutFacts(Prompted[Item]):
    """Data of prompts whose items are those of files, or made of built-in facts."""

    parts = PARTS

    def __init__(self, config: PromptedConfig, text: Data, workspace: Path) -> None:
        super().__init__(config, text)
        self.about = config
        self.workspace = workspace

    @abstractmethod
    def item_about(self, fact: Fact) -> Item:
        """Return the built-in item about a fact."""

    @property
    def reads_files(self) -> bool:
        """Whether the items are those of files."""
        return self.config.path != "builtin"

    def items_in(self, split: str) -> Iterator[Item]:
        """Yield the items of a split that there is."""
        yield from super().items_in(split) if self.reads_files else map(self.item_about, self.facts_in(split))

    def facts_in(self, split: str) -> Sequence[Fact]:
        """Return the built-in facts of a split: those behind each other in the order by hash."""
        found = facts_of(self.about.facts, self.workspace)
        train, valid = self.about.train_facts, self.about.valid_facts
        return found[:train] if split == "train" else found[train : train + valid]
