"""Prefix-LM packing of plain token rows as t5 does it, for its golden vectors; training packs by `data/packing.py`."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnitrain.errors import DataError
from omnitrain_ul2.paper.sentinels import Tokens

Flags = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DecoderPack:
    """Decoder-only rows, all int[rows, length]: what is predicted, what is read, loss weights, bidirectional flags."""

    target_tokens: Tokens
    input_tokens: Tokens
    loss_weights: Flags
    bidirectional: Flags


@dataclass(frozen=True, slots=True)
class EncoderDecoderPack:
    """Two texts in one encoder-decoder row, all int[rows, length]; segments 1 and 2, positions from 0 in each."""

    encoder_input_tokens: Tokens
    decoder_target_tokens: Tokens
    decoder_input_tokens: Tokens
    encoder_segment_ids: Flags
    encoder_positions: Flags
    decoder_segment_ids: Flags
    decoder_positions: Flags
    decoder_loss_weights: Flags


def draw_split_points(rows: int, length: int, generator: np.random.Generator) -> Flags:
    """One split point a row, uniform in [1, length)."""
    if length < 2:
        raise DataError(f"A row of {length} tokens cannot be split into prefix and continuation; use at least 2.")
    return generator.integers(1, length, rows)


def pack_decoder_only(
    tokens: Tokens, split_points: npt.ArrayLike, *, loss_on_targets_only: bool = True, pad_id: int = 0
) -> DecoderPack:
    """Prefix-LM rows for a decoder: tokens int[rows, length], split_points int[rows] in [1, length).

    Inputs are the tokens shifted right by one; therefore positions 0 to split inclusive see each other both ways.
    Loss weight 1 from the split on (or everywhere), 0 on padding.
    """
    position = np.arange(tokens.shape[1])
    split = np.asarray(split_points, dtype=np.int64)[:, None]
    _check_splits(split, tokens.shape[1])
    weights = (tokens != pad_id) & ((position >= split) | (not loss_on_targets_only))
    inputs = np.full_like(tokens, pad_id)
    inputs[:, 1:] = tokens[:, :-1]
    return DecoderPack(tokens, inputs, weights.astype(np.int64), (position <= split).astype(np.int64))


def pack_encoder_decoder(first: Tokens, second: Tokens, split_points: npt.ArrayLike, *, pad_id: int = 0) -> EncoderDecoderPack:
    """Two texts of one length share a row, with complementary splits, so that both sides are full.

    first, second: int[rows, length]; split_points: int[rows] in [1, length). The first text gives a prefix of `split`
    tokens, the second one of length - split. Padding keeps its segment and has loss weight 0.
    """
    length = first.shape[1]
    position = np.arange(length)[None, :]
    split = np.asarray(split_points, dtype=np.int64)[:, None]
    _check_splits(split, length)
    in_first = position < split
    encoder_positions = np.where(in_first, position, position - split)
    encoder = np.where(in_first, first, np.take_along_axis(second, encoder_positions, axis=1))
    rest = length - split
    decoder_first = position < rest
    decoder_positions = np.where(decoder_first, position, position - rest)
    source = np.where(decoder_first, position + split, position)
    targets = np.where(decoder_first, np.take_along_axis(first, np.minimum(source, length - 1), axis=1), second)
    inputs = np.full_like(targets, pad_id)
    inputs[:, 1:] = targets[:, :-1]
    inputs[decoder_positions == 0] = pad_id
    return EncoderDecoderPack(
        encoder,
        targets,
        inputs,
        np.where(in_first, 1, 2),
        encoder_positions,
        np.where(decoder_first, 1, 2),
        decoder_positions,
        (targets != pad_id).astype(np.int64),
    )


def _check_splits(split: Flags, length: int) -> None:
    if split.size and (split.min() < 1 or split.max() >= length):
        raise DataError(f"Split points {split.min()} to {split.max()} must lie in [1, {length}), the length of a row.")
