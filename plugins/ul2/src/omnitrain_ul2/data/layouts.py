"""Denoised examples as batches: for encoder-decoders, and as one row with a prefix mask for decoder-only models.

Both come with one example a row, or packed: several examples a row, with segment ids instead of an attention mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from omnitrain.api import Batch, Fields
from omnitrain_ul2.data.packing import Placement
from omnitrain_ul2.paper.corruption import shift_right
from omnitrain_ul2.paper.sentinels import Corrupted
from omnitrain_ul2.paper.spans import Ints
from omnitrain_ul2.paper.vocabulary import Vocabulary

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
PACKED_ENCODER_DECODER: Fields = {
    "input_ids": "int64[batch, input_length]",
    "input_segment_ids": "int64[batch, input_length]",
    "decoder_input_ids": "int64[batch, target_length]",
    "target_segment_ids": "int64[batch, target_length]",
    "labels": "int64[batch, target_length]",
    "loss_weights": "float32[batch, target_length]",
    "task_ids": "int64[batch, target_length]",
}
PACKED_DECODER_ONLY: Fields = {
    "input_ids": "int64[batch, length]",
    "segment_ids": "int64[batch, length]",
    "position_ids": "int64[batch, length]",
    "prefix_mask": "bool[batch, length]",
    "labels": "int64[batch, length]",
    "loss_weights": "float32[batch, length]",
    "task_ids": "int64[batch, length]",
}
Arrays = dict[str, npt.NDArray[Any]]


def fields_of(layout: str, packed: bool) -> Fields:
    """Return the fields of a layout, "encoder-decoder" or "decoder-only"."""
    if layout == "encoder-decoder":
        return PACKED_ENCODER_DECODER if packed else ENCODER_DECODER
    return PACKED_DECODER_ONLY if packed else DECODER_ONLY


def padding_of(vocabulary: Vocabulary) -> dict[str, int]:
    """Return what each field is padded with; absent fields with 0."""
    tokens = dict.fromkeys(("input_ids", "decoder_input_ids", "labels"), vocabulary.pad_id)
    return tokens | {"task_ids": -1}


def _present(lengths: Ints, width: int) -> npt.NDArray[np.bool_]:
    return np.arange(width) < lengths[:, None]


def to_tensors(fields: Arrays) -> Batch:
    """Return the arrays as tensors."""
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in fields.items()}


def encoder_decoder(examples: Corrupted, vocabulary: Vocabulary) -> Arrays:
    """Inputs for the encoder, targets for the decoder; padding is not in the loss (card section 4)."""
    weights = _present(examples.target_lengths, examples.targets.shape[1])
    return {
        "input_ids": examples.inputs.astype(np.int64),
        "attention_mask": _present(examples.input_lengths, examples.inputs.shape[1]),
        "decoder_input_ids": shift_right(examples.targets, examples.target_lengths, vocabulary.start_id).astype(np.int64),
        "labels": examples.targets.astype(np.int64),
        "loss_weights": weights.astype(np.float32),
    }


def decoder_only(examples: Corrupted, vocabulary: Vocabulary) -> Arrays:
    """Rows [inputs; targets] behind EOS as a start (section 8): positions 0..split see each other, loss on the targets.

    The inputs' EOS is left out: targets follow the inputs directly, so that S-denoising is continuing a text.
    """
    kept = examples.input_lengths - 1
    total = kept + examples.target_lengths
    rows, width = len(total), int(total.max(initial=0))
    labels = np.full((rows, width), vocabulary.pad_id, np.int64)
    position = np.arange(width)
    of_inputs = position < kept[:, None]
    of_targets = (position >= kept[:, None]) & (position < total[:, None])
    labels[of_inputs] = examples.inputs[_present(kept, examples.inputs.shape[1])]
    labels[of_targets] = examples.targets[_present(examples.target_lengths, examples.targets.shape[1])]
    input_ids = np.empty_like(labels)
    input_ids[:, :1] = vocabulary.eos_id
    input_ids[:, 1:] = labels[:, :-1]
    present = position < total[:, None]
    input_ids[~present] = vocabulary.pad_id
    return {
        "input_ids": input_ids,
        "attention_mask": present,
        "prefix_mask": (position <= kept[:, None]) & present,
        "labels": labels,
        "loss_weights": of_targets.astype(np.float32),
    }


def packed_encoder_decoder(
    examples: Corrupted, tasks: Ints, row: Ints, rows: int, capacity: tuple[int, int], vocabulary: Vocabulary
) -> Arrays:
    """`encoder_decoder` with the examples in the given rows; decoder inputs restart in each (card section 7).

    capacity: tokens of a row's inputs and of its targets. Positions need no field: T5 knows relative ones only.
    """
    alone, fill = encoder_decoder(examples, vocabulary), padding_of(vocabulary)
    inputs = Placement(examples.input_lengths, row, rows, capacity[0])
    targets = Placement(examples.target_lengths, row, rows, capacity[1])
    return {
        "input_ids": inputs.tokens(alone["input_ids"], fill["input_ids"]),
        "input_segment_ids": inputs.segments(),
        "target_segment_ids": targets.segments(),
        **{n: targets.tokens(alone[n], fill.get(n, 0)) for n in ("decoder_input_ids", "labels", "loss_weights")},
        "task_ids": targets.each(tasks, fill["task_ids"]),
    }


def packed_decoder_only(
    examples: Corrupted, tasks: Ints, row: Ints, rows: int, capacity: int, vocabulary: Vocabulary
) -> Arrays:
    """`decoder_only` with the examples in the given rows; positions restart in each. capacity: tokens of a row."""
    alone, fill = decoder_only(examples, vocabulary), padding_of(vocabulary)
    place = Placement(examples.input_lengths - 1 + examples.target_lengths, row, rows, capacity)
    return {
        "segment_ids": place.segments(),
        "position_ids": place.positions(),
        **{n: place.tokens(alone[n], fill.get(n, 0)) for n in ("input_ids", "prefix_mask", "labels", "loss_weights")},
        "task_ids": place.each(tasks, fill["task_ids"]),
    }
