"""Rows of batches as pieces of text for the dry run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import torch

from omnitrain.api import Batch, Piece
from omnitrain_language.detokenising import continuation

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

Role = Literal["plain", "mask", "loss", "special", "padding"]


def pieces(tokenizer: PreTrainedTokenizerFast, ids: Tensor, roles: Sequence[Role]) -> list[Piece]:
    """Return the text of ids, int64[length], neighbours of one role joined into one piece."""
    special = set(tokenizer.all_special_ids)
    found: list[Piece] = []
    before: list[int] = []
    run: list[int] = []
    run_role: Role = "plain"

    def finish() -> None:
        if run:
            found.append(Piece(continuation(tokenizer, before, run, skip_special_tokens=False), run_role))
            before.extend(run)

    for token, role in zip(ids.tolist(), roles, strict=True):
        actual: Role = "special" if token in special and role == "plain" else role
        if actual != run_role:
            finish()
            run, run_role = [], actual
        run.append(token)
    finish()
    return found


def explain_decoder_only(tokenizer: PreTrainedTokenizerFast, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
    """Show the inputs (positions that see both ways as "mask") and the labels (those in the loss as "loss")."""
    prefix = batch["prefix_mask"][row].tolist() if "prefix_mask" in batch else [False] * batch["input_ids"].shape[1]
    real = _real(batch, row, "attention_mask", "segment_ids")
    inputs: list[Role] = ["padding" if not r else "mask" if p else "plain" for p, r in zip(prefix, real, strict=True)]
    return {
        "inputs": pieces(tokenizer, batch["input_ids"][row], inputs),
        "labels": _labels(tokenizer, batch, row, real),
    }


def explain_encoder_decoder(tokenizer: PreTrainedTokenizerFast, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
    """Show the encoder's inputs and the decoder's targets."""
    real = _real(batch, row, "attention_mask", "input_segment_ids")
    inputs: list[Role] = ["plain" if r else "padding" for r in real]
    weights = batch["loss_weights"][row]
    return {
        "inputs": pieces(tokenizer, batch["input_ids"][row], inputs),
        "targets": _labels(tokenizer, batch, row, [bool(w) for w in weights.tolist()]),
    }


def explain_pair(tokenizer: PreTrainedTokenizerFast, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
    """Show the prompt with the better and with the worse response of a batch of pairs; what is compared as "loss"."""
    found = {}
    before = batch["input_ids"].shape[-1] - batch["labels"].shape[-1]
    for side, name in enumerate(("chosen", "rejected")):
        behind = int(batch["attention_mask"][row, side].sum()) - before
        labels, weights = batch["labels"][row, side, :behind], batch["loss_weights"][row, side, :behind]
        ids = torch.cat([batch["input_ids"][row, side, : before + 1], labels])
        roles: list[Role] = ["loss" if w else "plain" for w in [0.0] * (before + 1) + weights.tolist()]
        found[name] = pieces(tokenizer, ids, roles)
    return found


def _real(batch: Batch, row: int, *masks: str) -> list[bool]:
    for name in masks:
        if name in batch:
            return [bool(value) for value in batch[name][row].tolist()]
    return [True] * batch["input_ids"].shape[1]


def _labels(tokenizer: PreTrainedTokenizerFast, batch: Batch, row: int, real: Sequence[bool]) -> list[Piece]:
    weights = batch["loss_weights"][row].tolist()
    roles: list[Role] = ["loss" if w > 0 else "plain" if r else "padding" for w, r in zip(weights, real, strict=True)]
    return pieces(tokenizer, batch["labels"][row].clamp(min=0), roles)
