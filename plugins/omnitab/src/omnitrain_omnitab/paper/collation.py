"""Rows of examples: the decoder reads the unmasked sequence, its loss is where something was masked (released collator)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnitrain.api import Batch


def padded(rows: Sequence[Sequence[int]], fill: int, multiple: int = 1) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (int64[rows, longest], where rows are, bool of that shape); the width is rounded up to a multiple."""
    width = max(map(len, rows), default=0)
    width += -width % multiple
    values = np.full((len(rows), width), fill, np.int64)
    for number, row in enumerate(rows):
        values[number, : len(row)] = row
    return values, np.arange(width) < np.asarray([len(row) for row in rows])[:, None]


def collate(
    inputs: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    in_loss: Sequence[Sequence[bool]],
    *,
    pad: int,
    start: int,
    multiple: int = 1,
) -> Batch:
    """Return a batch for an encoder-decoder.

    targets: the unmasked sequences. in_loss: which of their ids are. start: what the decoder starts from. labels are the
    targets, of weight 1 where they are in the loss and 0 elsewhere.
    """
    input_ids, attention = padded(inputs, pad, multiple)
    labels, _ = padded(targets, pad, multiple)
    weights, _ = padded([[int(flag) for flag in row] for row in in_loss], 0, multiple)
    # Rows are shifted once they are padded: what a row reads behind its end predicts nothing that is in the loss.
    decoder = np.concatenate([np.full((len(labels), 1), start), labels[:, :-1]], axis=1)
    found: dict[str, Tensor] = {
        "input_ids": torch.from_numpy(input_ids),
        "attention_mask": torch.from_numpy(attention),
        "decoder_input_ids": torch.from_numpy(decoder),
        "labels": torch.from_numpy(labels),
        "loss_weights": torch.from_numpy(weights).float(),
    }
    return found
