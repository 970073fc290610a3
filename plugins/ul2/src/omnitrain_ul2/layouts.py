"""Denoised examples as batches: for encoder-decoders, and as one row with a prefix mask for decoder-only models."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from omnitrain.api import Batch, Fields
from omnitrain_ul2.examples import shift_right
from omnitrain_ul2.sentinels import Corrupted
from omnitrain_ul2.vocabulary import Vocabulary

ENCODER_DECODER: Fields = {
    "input_ids": "int64[batch, input_length]",
    "attention_mask": "bool[batch, input_length]",
    "decoder_input_ids": "int64[batch, target_length]",
    "labels": "int64[batch, target_length]",
    "loss_weights": "float32[batch, target_length]",
    "task_ids": "int64[batch]",
}
DECODER_ONLY: Fields = {
    "input_ids": "int64[batch, length]",
    "attention_mask": "bool[batch, length]",
    "prefix_mask": "bool[batch, length]",
    "labels": "int64[batch, length]",
    "loss_weights": "float32[batch, length]",
    "task_ids": "int64[batch]",
}


def _present(lengths: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.bool_]:
    return np.arange(width) < lengths[:, None]


def _tensors(fields: dict[str, npt.NDArray[Any]]) -> Batch:
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in fields.items()}


def encoder_decoder(examples: Corrupted, vocabulary: Vocabulary) -> Batch:
    """Inputs for the encoder, targets for the decoder; padding is not in the loss (card section 4)."""
    weights = _present(examples.target_lengths, examples.targets.shape[1])
    return _tensors(
        {
            "input_ids": examples.inputs.astype(np.int64),
            "attention_mask": _present(examples.input_lengths, examples.inputs.shape[1]),
            "decoder_input_ids": shift_right(examples.targets, examples.target_lengths, vocabulary.pad_id).astype(np.int64),
            "labels": examples.targets.astype(np.int64),
            "loss_weights": weights.astype(np.float32),
        }
    )


def decoder_only(examples: Corrupted, vocabulary: Vocabulary) -> Batch:
    """Rows [inputs; targets] behind EOS as a start (section 8): positions 0..split see each other, loss on the targets.

    The inputs' EOS is left out: targets follow the inputs directly, so that S-denoising is continuing a text.
    """
    kept = examples.input_lengths - 1
    total = kept + examples.target_lengths
    rows, width = len(total), int(total.max())
    labels = np.full((rows, width), vocabulary.pad_id, np.int64)
    position = np.arange(width)
    of_inputs = position < kept[:, None]
    of_targets = (position >= kept[:, None]) & (position < total[:, None])
    labels[of_inputs] = examples.inputs[_present(kept, examples.inputs.shape[1])]
    labels[of_targets] = examples.targets[_present(examples.target_lengths, examples.targets.shape[1])]
    input_ids = np.empty_like(labels)
    input_ids[:, 0] = vocabulary.eos_id
    input_ids[:, 1:] = labels[:, :-1]
    present = position < total[:, None]
    input_ids[~present] = vocabulary.pad_id
    return _tensors(
        {
            "input_ids": input_ids,
            "attention_mask": present,
            "prefix_mask": (position <= kept[:, None]) & present,
            "labels": labels,
            "loss_weights": of_targets.astype(np.float32),
        }
    )
