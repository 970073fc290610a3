"""Tokens and noise spans to inputs and targets, for a whole batch at once.

Each side of an example keeps the tokens of one kind of run and replaces each run of the other kind by a sentinel. Both
are read with one gather: source positions run on by one, and jump by the length of a replaced run after its sentinel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnitrain_ul2.paper.spans import Ints, Mask, Spans, spans_from_mask

Tokens = npt.NDArray[np.integer]
# Entries of an index array that is worked on at a time: below 128 KiB, so that it stays in a core's cache and the
# allocator hands out the same memory again instead of fresh pages.
CHUNK_ENTRIES = 16000


@dataclass(frozen=True, slots=True)
class Corrupted:
    """Padded inputs and targets, int[rows, width], with the number of tokens of each row, int64[rows]."""

    inputs: Tokens
    input_lengths: Ints
    targets: Tokens
    target_lengths: Ints


@dataclass(frozen=True, slots=True)
class Side:
    """Inputs or targets of a batch before they are written.

    first: int64[rows], the first token kept, counted in the row. body: tokens and sentinels, int64[rows].
    position, jump, number: one entry per sentinel (int64[rows, runs], or flat with `row` naming its row): where it
    stands in the body, how many tokens it replaces, and which sentinel it is.
    """

    first: Ints
    body: Ints
    row: Ints | None
    position: Ints
    jump: Ints
    number: Ints


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the body of a side.

    first_sentinel: id of sentinel 0. pad_id: fills up rows. eos_id: appended, None = nothing. max_length: longest row
    with EOS; what is over is cut off at the end. lead, prefix: tokens in front of the body, int64[rows] and
    int[rows, max lead]; None = none.
    """

    first_sentinel: int
    pad_id: int = 0
    eos_id: int | None = None
    max_length: int | None = None
    lead: Ints | None = None
    prefix: Tokens | None = None


def sides(spans: Spans, marked: Mask | None = None) -> tuple[Side, Side]:
    """The inputs and the targets of a batch of spans.

    marked: bool[rows], rows that get sentinels; None = all. Rows without must have one kept run, then one of noise.
    """
    kept_ends, noise_ends = spans.kept_ends, spans.noise_ends
    kept, noise = kept_ends.copy(), noise_ends.copy()
    kept[:, 1:] -= kept_ends[:, :-1]
    noise[:, 1:] -= noise_ends[:, :-1]
    runs = np.arange(kept.shape[1])
    # Sentinel j of the inputs stands after kept run j; that of the targets before noise run j.
    into_inputs = kept_ends + runs
    into_targets = noise_ends - noise
    into_targets += runs
    zero = np.zeros(len(kept), np.int64)
    if spans.uniform and (marked is None or marked.all()):
        count = len(runs)
        inputs = Side(zero, kept_ends[:, -1] + count, None, into_inputs, noise, runs)
        return inputs, Side(zero, noise_ends[:, -1] + count, None, into_targets, kept, runs)
    if marked is not None and not marked.any():
        none = np.empty(0, np.int64)
        inputs = Side(zero, kept_ends[:, -1], none, none, none, none)
        return inputs, Side(kept_ends[:, -1], noise_ends[:, -1], none, none, none, none)
    in_inputs, in_targets = noise > 0, kept > 0
    first = zero
    if marked is not None:
        in_inputs &= marked[:, None]
        in_targets &= marked[:, None]
        first = np.where(marked, 0, kept_ends[:, -1])
    # Only the first kept run can be empty; then the targets' sentinels start one run later.
    shift = (kept[:, :1] == 0).astype(np.int64)
    numbers = runs - shift
    row, run = np.nonzero(in_inputs)
    body = kept_ends[:, -1] + np.bincount(row, minlength=len(kept))
    inputs = Side(zero, body, row, into_inputs[row, run], noise[row, run], run)
    row, run = np.nonzero(in_targets)
    number = numbers[row, run]
    body = noise_ends[:, -1] + np.bincount(row, minlength=len(kept))
    return inputs, Side(first, body, row, (into_targets - shift)[row, run], kept[row, run], number)


def write(side: Side, flat: Tokens, starts: Ints, frame: Frame) -> tuple[Tokens, Ints]:
    """One side of a batch as a padded array int[rows, width] and its lengths int64[rows].

    flat: all tokens of the batch, row r from starts[r] on (int64[rows]). The result has the dtype of flat.
    """
    rows = len(side.first)
    full, first, lead = side.body, starts + side.first, frame.lead
    if lead is not None:
        full, first = full + lead, first - lead
    # One column to spare, for EOS and for the jump after a sentinel at the end.
    width = int(full.max()) + 1
    out = np.empty((rows, width), flat.dtype)
    chunk = max(1, CHUNK_ENTRIES // width)
    for begin in range(0, rows, chunk):
        part = slice(begin, begin + chunk)
        _write_rows(out[part], side, flat, first, lead, frame.first_sentinel, part)
    if lead is not None and frame.prefix is not None:
        _put_prefix(out, frame.prefix, lead)
    return _finish(out, full, width - 1, frame)


def _write_rows(out: Tokens, side: Side, flat: Tokens, first: Ints, lead: Ints | None, sentinel: int, part: slice) -> None:
    """Rows `part` of a side into `out` [rows of the part, width]; what stands outside the bodies is arbitrary."""
    rows, width = out.shape
    if not side.position.size:
        flat.take(first[part, None] + np.arange(width), mode="clip", out=out)
        return
    base = np.arange(0, rows * width, width)
    if lead is not None:
        base += lead[part]
    if side.row is None:
        at, jump, number = side.position[part] + base[:, None], side.jump[part], side.number
    else:
        own = slice(*np.searchsorted(side.row, (part.start, part.start + rows)))
        at = side.position[own] + base[side.row[own] - part.start]
        jump, number = side.jump[own], side.number[own]
    step = np.ones((rows, width), np.intp)
    step[:, 0] = first[part]
    marks = out.reshape(-1)
    step.reshape(-1)[at + 1] = jump
    np.add.accumulate(step, axis=1, out=step)
    flat.take(step, mode="clip", out=out)
    marks[at] = sentinel - number


def _put_prefix(out: Tokens, prefix: Tokens, lead: Ints) -> None:
    """Write prefix[r, :lead[r]] in front of each row of `out`, in place."""
    longest = prefix.shape[1]
    if int(lead.min()) == longest:
        out[:, :longest] = prefix
        return
    row, column = np.nonzero(np.arange(longest) < lead[:, None])
    out[row, column] = prefix[row, column]


def _finish(out: Tokens, full: Ints, longest: int, frame: Frame) -> tuple[Tokens, Ints]:
    """Cut rows of `full` tokens to the longest allowed, append EOS and pad; `out` has `longest` + 1 columns."""
    eos = frame.eos_id
    ending = eos is not None
    if frame.max_length is not None and longest + ending > frame.max_length:
        longest = frame.max_length - ending
        full = np.minimum(full, longest)
    lengths = full + ending
    width = longest + ending
    out = out[:, :width]
    if (full == longest).all():
        if eos is not None:
            out[:, -1] = eos
    else:
        shortest = int(lengths.min())
        padding = np.arange(shortest, width, dtype=np.int32) >= lengths.astype(np.int32)[:, None]
        np.copyto(out[:, shortest:], out.dtype.type(frame.pad_id), where=padding)
        if eos is not None:
            out[np.arange(len(full)), full] = eos
    return (out if out.flags.c_contiguous else np.ascontiguousarray(out)), lengths


def corrupt(
    tokens: Tokens, mask: npt.ArrayLike, vocab_size: int, lengths: npt.ArrayLike | None = None, pad_id: int = 0
) -> Corrupted:
    """Inputs and targets of masked texts: sentinels count down from vocab_size - 1, separately on both sides.

    tokens: int[rows, length], mask: bool of the same shape (true = noise; any mask, also one that starts with noise),
    lengths: int[rows] where rows differ. There is no closing sentinel and no EOS.
    """
    both = sides(spans_from_mask(mask, lengths))
    starts = np.arange(len(tokens)) * tokens.shape[1]
    frame = Frame(vocab_size - 1, pad_id)
    flat = np.ascontiguousarray(tokens).reshape(-1)
    return Corrupted(*write(both[0], flat, starts, frame), *write(both[1], flat, starts, frame))


def select(tokens: Tokens, mask: npt.ArrayLike, pad_id: int = 0) -> tuple[Tokens, Ints]:
    """The tokens where the mask is true, moved to the left: int[rows, most] and int64[rows].

    With a noise mask's inverse this is the official drop_noise, with the mask itself drop_nonnoise: the halves of the
    prefix-LM task.
    """
    chosen = np.asarray(mask, dtype=bool)
    lengths = chosen.sum(axis=1)
    out = np.full((len(tokens), int(lengths.max())), pad_id, tokens.dtype)
    out[np.arange(out.shape[1]) < lengths[:, None]] = tokens[chosen]
    return out, lengths


def restore_text(inputs: Sequence[int], targets: Sequence[int], first_sentinel: int, sentinels: int) -> list[int]:
    """The raw text of one corrupted example: sentinel i of the inputs becomes what follows sentinel i in the targets.

    inputs, targets: ids without mode tokens, EOS and padding. A sentinel that the targets lack becomes nothing.
    """
    marks = range(first_sentinel - sentinels + 1, first_sentinel + 1)
    spans: dict[int, list[int]] = {}
    current: list[int] = []
    for token in targets:
        if token in marks:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    return [token for entry in inputs for token in (spans.get(entry, []) if entry in marks else [entry])]
