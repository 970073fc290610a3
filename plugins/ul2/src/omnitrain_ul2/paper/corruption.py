"""Raw segments to whole training examples: one batch, any mixture of denoisers, no loop over rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnitrain.errors import DataError
from omnitrain_ul2.paper.denoisers import Denoiser
from omnitrain_ul2.paper.lengths import SegmentPlan, plan_segment, sentinels_needed
from omnitrain_ul2.paper.mixed_spans import draw_sides
from omnitrain_ul2.paper.prefix import draw_prefix_lengths
from omnitrain_ul2.paper.sentinels import Corrupted, Frame, Side, Tokens, sides, write
from omnitrain_ul2.paper.spans import Ints, Mask, draw_equal_spans, noise_counts, place_spans
from omnitrain_ul2.paper.vocabulary import Vocabulary, check_sentinels


@dataclass(frozen=True, slots=True)
class DenoisingPlan:
    """The denoisers of a mixture as arrays, to be indexed by the denoiser of each row.

    segments: plan per denoiser. inputs_length, targets_length: longest sides with EOS. rate, mean_span, marked, causal,
    rolled: one entry per denoiser; marked = has sentinels. lead, prefix: number and ids of its mode tokens.
    """

    segments: tuple[SegmentPlan, ...]
    inputs_length: int
    targets_length: int
    vocabulary: Vocabulary
    rate: npt.NDArray[np.float32]
    split_rate: npt.NDArray[np.float64]
    mean_span: npt.NDArray[np.float32]
    marked: Mask
    causal: Mask
    rolled: Mask
    lead: Ints
    prefix: npt.NDArray[np.int64]


def plan_batches(
    denoisers: Sequence[Denoiser], vocabulary: Vocabulary, inputs_length: int = 512, targets_length: int = 512
) -> DenoisingPlan:
    """Everything about a mixture that does not depend on the batch, checked once.

    Room for a denoiser's mode tokens is taken off its inputs. Raises UsageError where targets do not fit or sentinels
    lack.
    """
    modes = [tuple(vocabulary.mode_ids.get(denoiser.kind, ())) for denoiser in denoisers]
    segments = tuple(
        plan_segment(denoiser, inputs_length, targets_length, len(mode))
        for denoiser, mode in zip(denoisers, modes, strict=True)
    )
    check_sentinels(sentinels_needed(segments), vocabulary.sentinels)
    longest = max(len(mode) for mode in modes)
    return DenoisingPlan(
        segments,
        inputs_length,
        targets_length,
        vocabulary,
        rate=np.array([d.rate for d in denoisers], np.float32),
        split_rate=np.array([d.rate for d in denoisers], np.float64),
        mean_span=np.array([d.mean_span or 1.0 for d in denoisers], np.float32),
        marked=np.array([d.kind != "S" for d in denoisers]),
        causal=np.array([d.is_causal for d in denoisers]),
        rolled=np.array([d.random_roll for d in denoisers]),
        lead=np.array([len(mode) for mode in modes], np.int64),
        prefix=np.array([mode + (0,) * (longest - len(mode)) for mode in modes], np.int64).reshape(len(modes), longest),
    )


def join_segments(segments: Sequence[Tokens]) -> tuple[Tokens, Ints, Ints]:
    """Segments of any lengths as (all tokens, start of each, length of each)."""
    lengths = np.fromiter((len(segment) for segment in segments), np.int64, len(segments))
    return np.concatenate(segments), np.cumsum(lengths) - lengths, lengths


def denoise_batch(
    segments: Sequence[Tokens] | Tokens,
    denoiser_index: npt.ArrayLike,
    plan: DenoisingPlan,
    generator: np.random.Generator,
    lengths: npt.ArrayLike | None = None,
) -> Corrupted:
    """A batch of raw segments as training examples: corrupted, mode tokens in front of the inputs, cut, EOS, padded.

    segments: one int array a row; or int[rows, width] with `lengths` int[rows] (None = all of width); or all rows one
    behind the other, int[sum of lengths], with `lengths`. denoiser_index: int[rows], positions in the plan. Widths of
    the result are those of the longest row. Raises DataError for empty segments and where spans do not fit.
    """
    if isinstance(segments, np.ndarray) and segments.ndim == 1:
        length = np.asarray(lengths, dtype=np.int64)
        flat, starts = segments, np.cumsum(length) - length
    elif isinstance(segments, np.ndarray):
        rows, width = segments.shape
        flat = np.ascontiguousarray(segments).reshape(-1)
        starts = np.arange(0, rows * width, width)
        length = np.full(rows, width, np.int64) if lengths is None else np.asarray(lengths, dtype=np.int64)
    else:
        flat, starts, length = join_segments(segments)
    if flat.dtype not in (np.int32, np.int64):
        flat = flat.astype(np.int32)
    index = np.asarray(denoiser_index, dtype=np.int64)
    if int(length.min()) < 1:
        raise DataError("A segment of this batch has no tokens; drop empty segments.")
    both = _draw(length, index, plan, generator)
    vocabulary = plan.vocabulary
    check_sentinels(max(int(side.number.max(initial=-1)) + 1 for side in both), vocabulary.sentinels)
    has_modes = plan.prefix.shape[1] > 0
    inputs = Frame(
        vocabulary.first_sentinel,
        vocabulary.pad_id,
        vocabulary.eos_id,
        plan.inputs_length,
        plan.lead[index] if has_modes else None,
        plan.prefix[index] if has_modes else None,
    )
    targets = Frame(vocabulary.first_sentinel, vocabulary.pad_id, vocabulary.eos_id, plan.targets_length)
    return Corrupted(*write(both[0], flat, starts, inputs), *write(both[1], flat, starts, targets))


def _draw(length: Ints, index: Ints, plan: DenoisingPlan, generator: np.random.Generator) -> tuple[Side, Side]:
    """Both sides of every row; an S row is one kept run and one noise run at the drawn split."""
    first = int(index[0])
    denoiser = plan.segments[first].denoiser
    if denoiser.mean_span is not None and not denoiser.random_roll and (index == first).all() and (length == length[0]).all():
        equal = draw_equal_spans(len(length), int(length[0]), denoiser.mean_span, denoiser.rate, generator)
        if equal is not None:
            return sides(equal)
    marked = plan.marked[index]
    kept = np.zeros_like(length)
    split = ~(marked | plan.causal[index])
    kept[split] = draw_prefix_lengths(length[split], plan.split_rate[index[split]], generator)
    noise, parts = length - kept, np.zeros_like(length)
    if marked.any():
        corrupted, rows = index[marked], length[marked]
        noise[marked], parts[marked] = noise_counts(rows, plan.mean_span[corrupted], plan.rate[corrupted])
        kept[marked] = np.maximum(rows, 2) - noise[marked]
        rolled = plan.rolled[index]
        if rolled.any() or (marked & ((length == 1) | (parts == 0))).any():
            # Rows with an empty run: their number of sentinels follows from the runs that are left.
            return sides(place_spans(length, kept, noise, parts, generator, rolled), marked)
    return draw_sides(kept, noise, parts, generator)


def shift_right(targets: Tokens, lengths: Ints, start_id: int = 0) -> Tokens:
    """Decoder inputs of targets int[rows, width] of the given lengths: moved right behind start_id, without the EOS."""
    shifted = np.empty_like(targets)
    shifted[:, 0] = start_id
    shifted[:, 1:] = targets[:, :-1]
    shifted[np.arange(targets.shape[1]) >= lengths[:, None]] = start_id
    return shifted
