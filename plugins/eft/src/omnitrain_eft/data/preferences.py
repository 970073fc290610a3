"""Data `eft/preferences`: prompts with a better and a worse reply, and how much the reference prefers the better one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from omnitrain.api import Batch, Context, Data, Fields, Piece
from omnitrain.engine import choose_device, evaluating, in_order, to_device
from omnitrain_eft.configs.data import PreferencesConfig
from omnitrain_eft.data.prompted import AboutFacts, dialogue_of
from omnitrain_eft.data.world import Fact, Reply, reply_to
from omnitrain_eft.paper.composition import token_log_probs
from omnitrain_language.dialogues.messages import Prompt
from omnitrain_language.dialogues.records import PREFERENCE_SUFFIXES, read_preferences
from omnitrain_language.dialogues.rows import Dialogue
from omnitrain_language.explain import pieces

# What a loss over pairs needs of a batch.
NEEDS: Fields = {
    "chosen_ids": "int64[batch, chosen_length]",
    "chosen_mask": "bool[batch, chosen_length]",
    "chosen_labels": "int64[batch, chosen_length]",
    "chosen_weights": "float32[batch, chosen_length]",
    "rejected_ids": "int64[batch, rejected_length]",
    "rejected_mask": "bool[batch, rejected_length]",
    "rejected_labels": "int64[batch, rejected_length]",
    "rejected_weights": "float32[batch, rejected_length]",
    "reference_margin": "float32[batch]",
    "pair_weights": "float32[batch]",
}
FIELDS: Fields = {**NEEDS, "example_ids": "int64[batch]"}
_REFERENCE_ROWS = 32


@dataclass(frozen=True)
class Preference:
    """A prompt with a better and a worse reply."""

    prompt: Prompt
    chosen: Reply
    rejected: Reply


def reply_log_probs(model: nn.Module, batch: Batch, side: str) -> Tensor:
    """Return the log-probability of each row's reply, float[batch]. side: "chosen" or "rejected"."""
    logits = model(input_ids=batch[f"{side}_ids"], attention_mask=batch[f"{side}_mask"], use_cache=False).logits
    weights = batch[f"{side}_weights"]
    return torch.where(weights != 0, token_log_probs(logits, batch[f"{side}_labels"]), 0.0).sum(dim=-1)


class PreferencesData(AboutFacts[Preference]):
    """Pairs of rows. The reference is the model that training starts from; its margins are computed once, before it."""

    batch: Fields = FIELDS
    address, noun = "eft/preferences", "pair"
    suffixes = PREFERENCE_SUFFIXES

    def __init__(self, config: PreferencesConfig, text: Data, workspace: Path) -> None:
        super().__init__(config, text, workspace)
        self.settings = config
        self._margins: dict[str, Tensor] = {}

    def item_about(self, fact: Fact) -> Preference:
        """Return the preference about a fact, its replies in the styles that are set."""
        return Preference(fact.name, reply_to(fact, self.settings.chosen), reply_to(fact, self.settings.rejected))

    def items_of_files(self) -> Iterator[tuple[str, Preference]]:
        """Yield the sound preferences of the files by key."""
        for record in read_preferences(self.settings.path, self.settings.malformed == "refuse"):
            yield record.key, Preference(record.prompt, Reply("", "", record.chosen), Reply("", "", record.rejected))

    def dialogues_of(self, item: Preference) -> tuple[Dialogue, ...]:
        """Return the prompt with the better and with the worse reply."""
        return dialogue_of(item.prompt, item.chosen), dialogue_of(item.prompt, item.rejected)

    def gather(self, split: str, rows: np.ndarray) -> Batch:
        """Make the batch of some pairs. Before a model is followed the reference prefers neither reply."""
        every = self.encoded(split)
        batch: Batch = {}
        for side, name in enumerate(("chosen", "rejected")):
            columns = self.columns([every[int(number)][side] for number in rows])
            batch |= {f"{name}_{what}": columns[what] for what in ("ids", "mask", "labels", "weights")}
        index = torch.from_numpy(np.asarray(rows, np.int64).copy())
        margins = self._margins.get(split)
        batch["reference_margin"] = torch.zeros(len(rows)) if margins is None else margins[index]
        batch["pair_weights"] = torch.ones(len(rows))
        batch["example_ids"] = index
        return batch

    def follow(self, model: nn.Module) -> None:
        """Measure how much the model prefers the better replies, as it is before training; it is the reference."""
        model.to(choose_device("auto"))
        device = next(model.parameters()).device
        self._margins = {}
        found: dict[str, Tensor] = {}
        with evaluating(model):
            for split in self.splits():
                margins = []
                for given in in_order(self, split, _REFERENCE_ROWS):
                    batch = to_device(given, device)
                    margin = reply_log_probs(model, batch, "chosen") - reply_log_probs(model, batch, "rejected")
                    margins.append(margin.float().cpu())
                found[split] = torch.cat(margins)
        self._margins = found

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show the prompt with each reply; the replies are in the loss."""
        shown = {}
        for name in ("chosen", "rejected"):
            weights = batch[f"{name}_weights"][row]
            count = int(weights.nonzero().max()) + 1
            roles: list[Any] = ["loss" if w else "plain" for w in weights[:count].tolist()]
            shown[name] = pieces(self.tokenizer, batch[f"{name}_labels"][row, :count], roles)
        return shown


def build(config: PreferencesConfig, context: Context) -> PreferencesData:
    """Make the data `eft/preferences`."""
    return PreferencesData(config, context.build(config.tokenizer_text), context.workspace)
