"""Data `eft/preferences`: prompts with a better and a worse reply, and how much the reference prefers the better one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from omnitrain.api import Batch, Context, Data, Fields, Piece
from omnitrain.engine import choose_device, evaluating
from omnitrain.errors import DataError
from omnitrain_eft.configs.data import PreferencesConfig
from omnitrain_eft.data.prompted import Dialogue, Prompted, Row, padded, real, shifted
from omnitrain_eft.data.prompts import Prompt
from omnitrain_eft.data.records import read_preferences
from omnitrain_eft.data.world import Reply, reply_to
from omnitrain_eft.paper.composition import token_log_probs
from omnitrain_language.explain import pieces
from omnitrain_language.tokenizers import pad_id

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
_log = logging.getLogger("omnitrain.eft")
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


class PreferencesData(Prompted):
    """Pairs of rows. The reference is the model that training starts from; its margins are computed once, before it."""

    batch: Fields = FIELDS

    def __init__(self, config: PreferencesConfig, text: Data, workspace: Path) -> None:
        super().__init__(config, text, workspace)
        self.settings = config
        self._rows: dict[str, list[tuple[Row, Row]]] = {}
        self._margins: dict[str, Tensor] = {}

    @property
    def fingerprint(self) -> str:
        """Hash of settings, pairs and the tokenizer's text."""
        digest = hashlib.blake2b(self.settings.model_dump_json(exclude={"path", "tokenizer_text"}).encode(), digest_size=16)
        digest.update(self.text.fingerprint.encode())
        for split in self.splits():
            for pair in self.pairs(split):
                digest.update(f"{split}\0{pair}\0".encode())
        return digest.hexdigest()

    def pairs(self, split: str) -> Iterator[Preference]:
        """Yield the preferences of a split.

        Raises DataError for an unknown split, and for malformed records where they are refused.
        """
        if split not in self.splits():
            raise DataError(f"eft/preferences: there is no split {split!r}; there are {', '.join(self.splits())}")
        config = self.settings
        if config.path == "builtin":
            for fact in self.facts_in(split):
                yield Preference(fact.name, reply_to(fact, config.chosen), reply_to(fact, config.rejected))
            return
        for record in read_preferences(config.path, config.malformed == "refuse"):
            if self.in_split(record.key, split):
                yield Preference(record.prompt, Reply("", "", record.chosen), Reply("", "", record.rejected))

    def rows(self, split: str) -> list[tuple[Row, Row]]:
        """Return the encoded pairs of a split; raises DataError where none fits, or one is too long and refused."""
        if split not in self._rows:
            both = [tuple(self.row(Dialogue(p.prompt, reply)) for reply in (p.chosen, p.rejected)) for p in self.pairs(split)]
            found = [(first, second) for first, second in both if self.fits(first) and self.fits(second)]
            if len(found) < len(both) and self.settings.malformed == "refuse":
                raise DataError(
                    f"{self.settings.path}: {len(both) - len(found)} pairs of split {split} are longer than length "
                    f"{self.settings.length}: raise length, or set malformed: skip"
                )
            if len(found) < len(both):
                _log.warning("left out %d pairs of split %s, too long", len(both) - len(found), split)
            if not found:
                raise DataError(f"{self.settings.path}: split {split!r} has no pair that fits; it needs more records")
            self._rows[split] = found
        return self._rows[split]

    def examples(self, split: str) -> Sequence[Mapping[str, Any]]:
        """Return the pairs of a split."""
        return [{"split": split, "row": number} for number in range(len(self.rows(split)))]

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> Batch:
        """Make a batch of pairs of one split."""
        return self.gather(examples[0]["split"], np.asarray([e["row"] for e in examples], np.int64))

    def gather(self, split: str, rows: np.ndarray) -> Batch:
        """Make the batch of some pairs. Before a model is followed the reference prefers neither reply."""
        every, pad = self.rows(split), pad_id(self.tokenizer)
        batch: Batch = {}
        for side, name in enumerate(("chosen", "rejected")):
            columns = [shifted(every[int(number)][side], pad) for number in rows]
            width = max(len(ids) for ids, *_ in columns)
            batch[f"{name}_ids"] = padded([ids for ids, *_ in columns], pad)
            batch[f"{name}_labels"] = padded([labels for _, labels, *_ in columns], pad)
            batch[f"{name}_mask"] = real([ids for ids, *_ in columns])
            weights = [[*w, *[0.0] * (width - len(w))] for _, _, w, _ in columns]
            batch[f"{name}_weights"] = torch.tensor(weights, dtype=torch.float32)
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
                rows = np.arange(len(self.rows(split)))
                margins = []
                for first in range(0, len(rows), _REFERENCE_ROWS):
                    batch = self.gather(split, rows[first : first + _REFERENCE_ROWS])
                    batch = {name: value.to(device) for name, value in batch.items()}
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
