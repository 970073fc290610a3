"""Noise spans of a whole batch: how many, where, and as a mask (t5's random_spans_noise_mask, vectorised).

A row of M kept and N noise tokens is described by the ends of its runs, counted among the kept and among the noise
tokens. Runs alternate kept, noise, kept, noise. One code path leads from cut positions to runs and to the mask; the
cut positions come from a generator or, for golden vectors, from explicit permutations.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from omnitrain.errors import DataError

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
MAX_INDEX_BITS_IN_32 = 12


@dataclass(frozen=True, slots=True)
class Spans:
    """Alternating runs of a batch of rows.

    lengths: int64[rows], tokens of each row. kept_ends, noise_ends: int64[rows, runs], the end of run j counted among
    the kept (noise) tokens only; entries after a row's last run repeat the row's total, so that they are empty.
    uniform: every row has the same length, and every run of every row holds at least one token.
    """

    lengths: Ints
    kept_ends: Ints
    noise_ends: Ints
    uniform: bool


def noise_counts(lengths: npt.ArrayLike, mean_span: npt.ArrayLike, rate: npt.ArrayLike) -> tuple[Ints, Ints]:
    """Noise tokens N and noise spans k, int64 with the shape of lengths; both 0 where the rate is 0.

    Products and quotients are rounded half to even in float32, as the official code does: float64 gives one token less
    at rate 0.15 for lengths such as 190, 350, 390. A length of 1 is counted as 2.
    Raises DataError where k spans do not fit into the N noise or the L - N other tokens.
    """
    length = np.maximum(np.asarray(lengths, dtype=np.int64), 2)
    density = np.asarray(rate, dtype=np.float32)
    tokens = np.rint(length.astype(np.float32) * density).astype(np.int64)
    tokens = np.minimum(np.maximum(tokens, 1), length - 1)
    spans = np.maximum(np.rint(tokens.astype(np.float32) / np.asarray(mean_span, np.float32)).astype(np.int64), 1)
    if not density.all():
        silent = np.broadcast_to(density == 0, length.shape)
        tokens, spans = np.where(silent, 0, tokens), np.where(silent, 0, spans)
    bad = spans > np.minimum(tokens, length - tokens)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        total, noise, count = (int(np.broadcast_to(a, length.shape).flat[row]) for a in (length, tokens, spans))
        raise DataError(
            f"Span corruption of {total} tokens needs {count} spans, but there are {noise} noise and {total - noise} "
            "other tokens and each span takes one of both; use a longer mean span or a lower rate."
        )
    return tokens, spans


@lru_cache(maxsize=4096)
def _equal_counts(length: int, mean_span: float, rate: float) -> tuple[int, int]:
    """`noise_counts` of one length, kept because full segments come again and again."""
    noise, parts = noise_counts([length], mean_span, rate)
    return int(noise[0]), int(parts[0])


def ends_from_permutation(permutation: npt.ArrayLike, items: int, parts: int) -> Ints:
    """Ends of the `parts` segments of `items` tokens, int64[rows, parts], for permutations int[rows, items - 1].

    Token i + 1 starts a new segment iff permutation[i] < parts - 1 (flags with the ones first, then shuffled).
    """
    order = np.atleast_2d(np.asarray(permutation, dtype=np.int64))
    cuts = np.nonzero(order < parts - 1)[1].reshape(order.shape[0], parts - 1) + 1
    return np.concatenate([cuts, np.full((order.shape[0], 1), items, np.int64)], axis=1)


def draw_ends(items: Ints, parts: Ints, generator: np.random.Generator) -> Ints:
    """Ends of uniformly drawn segments: every composition of items[r] into parts[r] non-empty parts is equally likely.

    items, parts: int64[rows], 1 <= parts <= items. Result int64[rows, max parts], filled up with items[r].
    """
    most = int(parts.max())
    ends = np.repeat(items[:, None], most, axis=1)
    several = np.flatnonzero(parts > 1)
    if not len(several):
        return ends
    items, parts = items[several], parts[several]
    keys, bits = _keys(len(several), int(items.max()) - 1, generator)
    # Columns that a row lacks get the largest key and are never chosen.
    keys[np.arange(keys.shape[1]) >= (items - 1)[:, None]] = np.iinfo(keys.dtype).max
    keys.sort(axis=1)
    row = np.arange(len(several))
    boundary = np.minimum(parts - 1, keys.shape[1] - 1)
    tied = ((keys[row, parts - 2] ^ keys[row, boundary]) >> bits == 0) & (parts < items)
    cuts = (keys[:, : most - 1] & ((1 << bits) - 1)).astype(np.int64) + 1
    cuts = np.where(np.arange(most - 1) < (parts - 1)[:, None], cuts, items[:, None])
    cuts.sort(axis=1)
    ends[several, :-1] = cuts
    if tied.any():
        again = draw_ends(items[tied], parts[tied], generator)
        ends[several[tied], : again.shape[1]] = again
        ends[several[tied], again.shape[1] :] = items[tied, None]
    return ends


def draw_equal_ends(rows: int, items: int, parts: int, generator: np.random.Generator) -> Ints:
    """`draw_ends` for rows that have the same number of items and of parts."""
    ends = np.empty((rows, parts), np.int64)
    ends[:, -1] = items
    width, chosen = items - 1, parts - 1
    if chosen == 0:
        return ends
    if chosen == width:
        ends[:, :-1] = np.arange(1, items)
        return ends
    keys, bits = _keys(rows, width, generator)
    keys.sort(axis=1)
    gap = keys[:, chosen - 1] ^ keys[:, chosen]
    cuts = keys[:, :chosen] & ((1 << bits) - 1)
    cuts.sort(axis=1)
    np.add(cuts, 1, out=ends[:, :-1], casting="unsafe")
    if gap.min() >> bits == 0:
        again = np.flatnonzero(gap >> bits == 0)
        ends[again] = draw_equal_ends(len(again), items, parts, generator)
    return ends


def _keys(rows: int, width: int, generator: np.random.Generator) -> tuple[npt.NDArray[np.unsignedinteger], int]:
    """Random keys [rows, width] whose low bits are the column number, and the number of these bits.

    The columns of a row's smallest keys are a uniform choice, unless the random parts tie at the boundary of the
    choice. Callers draw such rows again, which keeps the law exact whatever the number of random bits.
    """
    bits = width.bit_length()
    dtype: type[np.unsignedinteger] = np.uint32 if bits <= MAX_INDEX_BITS_IN_32 else np.uint64
    words = -(-rows * width * np.dtype(dtype).itemsize // 8)
    keys = generator.integers(0, 2**64, words, dtype=np.uint64).view(dtype)[: rows * width].reshape(rows, width)
    keys &= np.iinfo(dtype).max - ((1 << bits) - 1)
    keys |= np.arange(width, dtype=dtype)
    return keys, bits


def draw_spans(
    lengths: Ints,
    mean_span: npt.ArrayLike,
    rate: npt.ArrayLike,
    generator: np.random.Generator,
    rolled: Mask | None = None,
) -> Spans:
    """Noise spans of rows of the given lengths; lengths: int64[rows] >= 1, mean_span and rate: a number or [rows].

    Every row starts with kept tokens and ends with noise, unless `rolled` (bool[rows]) says that its mask is rotated
    by a uniform offset in [0, max(length, 2)). Raises DataError where the spans do not fit (see `noise_counts`).
    """
    if lengths.min() < 1:
        raise DataError("A text to be corrupted has no tokens; drop empty texts before corrupting them.")
    if rolled is None and isinstance(mean_span, float) and isinstance(rate, float) and (lengths == lengths[0]).all():
        equal = draw_equal_spans(len(lengths), int(lengths[0]), mean_span, rate, generator)
        if equal is not None:
            return equal
    noise, parts = noise_counts(lengths, mean_span, rate)
    return place_spans(lengths, np.maximum(lengths, 2) - noise, noise, parts, generator, rolled)


def place_spans(
    lengths: Ints, kept: Ints, noise: Ints, parts: Ints, generator: np.random.Generator, rolled: Mask | None = None
) -> Spans:
    """Randomly placed spans for known numbers of kept tokens, noise tokens and spans, all int64[rows]."""
    parts = np.maximum(parts, 1)
    kept_ends, noise_ends = draw_ends(kept, parts, generator), draw_ends(noise, parts, generator)
    if rolled is None or not rolled.any():
        return spans_from_ends(lengths, kept_ends, noise_ends)
    padded = kept + noise
    mask = mask_from_spans(spans_from_ends(padded, kept_ends, noise_ends))
    offsets = np.where(rolled, generator.integers(0, padded), 0)
    return spans_from_mask(roll_masks(mask, padded, offsets)[:, : int(lengths.max())], lengths)


def draw_equal_spans(rows: int, length: int, mean_span: float, rate: float, generator: np.random.Generator) -> Spans | None:
    """`draw_spans` for rows of one length, without rotation; None where a row would have an empty run."""
    noise, parts = _equal_counts(length, mean_span, rate)
    if length == 1 or noise == 0:
        return None
    kept_ends = draw_equal_ends(rows, length - noise, parts, generator)
    noise_ends = draw_equal_ends(rows, noise, parts, generator)
    return Spans(np.full(rows, length, np.int64), kept_ends, noise_ends, uniform=True)


def spans_from_ends(lengths: Ints, kept_ends: Ints, noise_ends: Ints) -> Spans:
    """Spans from the ends of segmentations of max(length, 2) tokens, cut to the lengths."""
    if int(lengths.min()) == 1:
        kept_ends = np.minimum(kept_ends, lengths[:, None])
        noise_ends = np.minimum(noise_ends, lengths[:, None] - kept_ends[:, -1:])
    return Spans(lengths, kept_ends, noise_ends, uniform=False)


def mask_from_spans(spans: Spans) -> Mask:
    """Noise mask bool[rows, longest length]; false after the end of a row."""
    rows, width = len(spans.lengths), int(spans.lengths.max())
    before = np.zeros_like(spans.noise_ends)
    before[:, 1:] = spans.noise_ends[:, :-1]
    base = (np.arange(rows) * (width + 1))[:, None]
    change = np.zeros((rows, width + 1), np.int8)
    # Empty runs start and end at the row's length, a column that is cut off below.
    change.reshape(-1)[spans.kept_ends + before + base] = 1
    change.reshape(-1)[spans.kept_ends + spans.noise_ends + base] = -1
    mask = np.cumsum(change[:, :width], axis=1, dtype=np.int8).astype(bool)
    if not spans.uniform:
        mask &= np.arange(width) < spans.lengths[:, None]
    return mask


def spans_from_mask(mask: npt.ArrayLike, lengths: npt.ArrayLike | None = None) -> Spans:
    """Runs of any noise mask [rows, length], which may start or end with either kind; lengths: int[rows] if ragged."""
    noise = np.asarray(mask, dtype=bool)
    rows, width = noise.shape
    length = np.full(rows, width, np.int64) if lengths is None else np.asarray(lengths, dtype=np.int64)
    noise = noise & (np.arange(width) < length[:, None])
    change = np.zeros((rows, width + 2), np.int8)
    change[:, 1:-1] = noise
    change = np.diff(change, axis=1)
    row, start = np.nonzero(change == 1)
    size = np.nonzero(change == -1)[1] - start
    runs = np.bincount(row, minlength=rows)
    number = np.arange(len(row)) - (np.cumsum(runs) - runs)[row]
    total = noise.sum(axis=1)
    done = np.cumsum(size) - (np.cumsum(total) - total)[row]
    # One entry more than runs, for kept tokens after the last noise run.
    entries = int(runs.max(initial=0)) + 1
    kept_ends = np.repeat((length - total)[:, None], entries, axis=1)
    noise_ends = np.repeat(total[:, None], entries, axis=1)
    kept_ends[row, number] = start - (done - size)
    noise_ends[row, number] = done
    return Spans(length, kept_ends, noise_ends, uniform=False)


def roll_masks(mask: Mask, lengths: Ints, offsets: npt.ArrayLike) -> Mask:
    """Each row of a mask bool[rows, width] rotated to the right by its offset, within its own length."""
    column = np.arange(mask.shape[1])[None, :]
    source = (column - np.asarray(offsets, dtype=np.int64)[:, None]) % lengths[:, None]
    return np.take_along_axis(mask, source, axis=1) & (column < lengths[:, None])


def noise_masks(
    lengths: int | npt.ArrayLike,
    rows: int,
    mean_span: npt.ArrayLike,
    rate: npt.ArrayLike,
    generator: np.random.Generator,
    *,
    random_roll: bool = False,
) -> Mask:
    """Noise masks of a whole batch, bool[rows, longest length], true = noise.

    lengths: one number, or int[rows] for rows that differ (false after a row's end). mean_span, rate: one number or
    [rows]. random_roll rotates each mask by a uniform offset. Raises DataError where the spans do not fit.
    """
    length = np.broadcast_to(np.asarray(lengths, dtype=np.int64), (rows,))
    rolled = np.full(rows, True) if random_roll else None
    return mask_from_spans(draw_spans(length, mean_span, rate, generator, rolled))
