"""Batches of stored rows: one dialogue to a row, or several that don't see each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import Batch, Fields
from omnitrain_language.dialogues.stored import StoredRows
from omnitrain_language.packing import Ints, PackedRows, PackingPlan, gather_rows

PADDED: Fields = {
    "input_ids": "int64[batch, length]",
    "attention_mask": "bool[batch, length]",
    "labels": "int64[batch, length]",
    "loss_weights": "float32[batch, length]",
    "part_ids": "int64[batch, length]",
    "example_ids": "int64[batch]",
}
PACKED: Fields = {
    **{name: spec for name, spec in PADDED.items() if name != "attention_mask"},
    "segment_ids": "int64[batch, length]",
    "position_ids": "int64[batch, length]",
}


def padded_batch(stored: StoredRows, rows: Ints, width: int, pad: int) -> Batch:
    """Make a batch of one dialogue to a row, padded at their ends; the last token of each is only predicted.

    labels[t] is what position t predicts; loss_weights are 1 where that is in a reply; part_ids its part, -1 outside.
    width: at least one less than the tokens of the longest.
    """
    lengths = stored.lengths[rows] - 1
    place = np.arange(width)
    real = place < lengths[:, None]
    source = np.where(real, stored.offsets[rows][:, None] + place, 0)
    parts = np.where(real, stored.parts[source], -1).astype(np.int64)
    return _batch(
        input_ids=np.where(real, stored.tokens[source], pad).astype(np.int64),
        attention_mask=real,
        labels=np.where(real, stored.tokens[source + real], pad).astype(np.int64),
        loss_weights=(parts >= 0).astype(np.float32),
        part_ids=parts,
        example_ids=np.asarray(rows, np.int64),
    )


def packed_batch(stored: StoredRows, pieces: Sequence[tuple[PackingPlan, Ints]], pad: int) -> Batch:
    """Make a batch of rows of plans, each with whole dialogues; row -1 stands for one without loss.

    Fields as of `padded_batch`, with segment_ids 1, 2, ... (0 for padding) in place of a mask and position_ids that begin at 0
    in each dialogue. No label is the first token of a dialogue. example_ids: of the first dialogue of each row.
    """
    begins = stored.offsets[:-1]
    found = [gather_rows(plan, begins, stored.lengths, np.maximum(rows, 0)) for plan, rows in pieces]
    packed = found[0] if len(found) == 1 else _joined(found)
    padding = packed.source < 0
    source = np.maximum(packed.source, 0)
    ids = stored.tokens[source].astype(np.int64)
    ids[padding] = pad
    parts = stored.parts[source]
    parts[padding] = -1
    lossless = np.concatenate([rows < 0 for _, rows in pieces])
    if lossless.any():
        parts[lossless] = -1
    labels = np.full_like(ids, pad)
    # The last token of a dialogue predicts nothing: the next one is at position 0, as padding is.
    np.copyto(labels[:, :-1], ids[:, 1:], where=packed.position_ids[:, 1:] > 0)
    first = [plan.order[plan.first[np.maximum(rows, 0)]] for plan, rows in pieces]
    return _batch(
        input_ids=ids,
        labels=labels,
        loss_weights=(parts >= 0).astype(np.float32),
        part_ids=parts.astype(np.int64),
        example_ids=np.concatenate(first),
        segment_ids=packed.segment_ids,
        position_ids=packed.position_ids,
    )


def _joined(found: Sequence[PackedRows]) -> PackedRows:
    return PackedRows(*(np.concatenate([getattr(part, field.name) for part in found]) for field in fields(PackedRows)))


def _batch(**columns: NDArray[np.generic]) -> Batch:
    return {name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in columns.items()}
