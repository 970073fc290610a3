"""How many raw tokens each denoiser takes, so that its inputs fill the inputs length exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

from omnitrain.errors import UsageError
from omnitrain_ul2.paper.denoisers import Denoiser
from omnitrain_ul2.paper.spans import noise_counts


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """Tokens of a full raw segment of one denoiser, the longest targets (with EOS), and the spans in one segment."""

    denoiser: Denoiser
    tokens_length: int
    targets_length: int
    spans: int


def random_spans_lengths(
    inputs_length: int,
    rate: float,
    mean_span: float,
    extra_tokens_per_span_inputs: int = 1,
    extra_tokens_per_span_targets: int = 1,
) -> tuple[int, int]:
    """Longest raw segment whose inputs fit inputs_length, and the length of its targets, both with EOS.

    Counts round half to even in float64 here (t5's random_spans_helper), unlike the masks. At a rate of exactly 0.5,
    targets one longer than the inputs cost one raw token. The search starts at inputs_length - 1 tokens.
    """

    def both(tokens: int) -> tuple[int, int]:
        noise = round(tokens * rate)
        spans = round(noise / mean_span)
        inputs = tokens - noise + spans * extra_tokens_per_span_inputs + 1
        return inputs, noise + spans * extra_tokens_per_span_targets + 1

    tokens = inputs_length - 1
    while both(tokens + 1)[0] <= inputs_length:
        tokens += 1
    targets = both(tokens)[1]
    if rate == 0.5 and targets > inputs_length:
        return tokens - 1, targets - 1
    return tokens, targets


def _mask_counts(tokens: int, denoiser: Denoiser) -> tuple[int, int]:
    """Noise tokens and spans that the mask of so many tokens really has."""
    noise, spans = noise_counts([tokens], denoiser.mean_span or 1.0, denoiser.rate)
    return int(noise[0]), int(spans[0])


def plan_segment(denoiser: Denoiser, inputs_length: int, targets_length: int, reserved: int = 0) -> SegmentPlan:
    """Plan of one denoiser (paper's listing and t5).

    inputs_length, targets_length: longest sides with EOS. reserved: room for mode tokens, taken off the inputs.
    A prefix LM takes inputs_length - 1 tokens, prefix and continuation together; a causal LM fills the targets.
    Raises UsageError that names the targets length needed.
    """
    room = inputs_length - reserved
    if denoiser.is_causal:
        if room < 1 or targets_length < 2:
            raise UsageError(f"Lengths {inputs_length}/{targets_length} leave no room for a causal LM; use longer ones.")
        return SegmentPlan(denoiser, targets_length - 1, targets_length, 1)
    if room < 3:
        raise UsageError(
            f"inputs_length {inputs_length} leaves {room} tokens beside {reserved} mode tokens; use at least {reserved + 3}."
        )
    if denoiser.mean_span is None:
        tokens = room - 1
        # The shortest prefix leaves the longest continuation.
        low = min(tokens - 1, max(1, round((1.0 - 2.0 * denoiser.rate) * (tokens - 1))))
        needed, spans = tokens - low + 1, 1
    else:
        tokens, needed = random_spans_lengths(room, denoiser.rate, denoiser.mean_span)
        noise, spans = _mask_counts(tokens, denoiser)
        # The search counts no span where the mean span is over twice the noise, but masks have one at least: a token
        # less, or the final cut would take the sentinel.
        while tokens - noise + spans + 1 > room:
            tokens -= 1
            noise, spans = _mask_counts(tokens, denoiser)
        needed = max(needed, noise + spans + 1)
    if needed > targets_length:
        raise UsageError(
            f"{denoiser.name} needs targets of {needed} tokens at inputs_length {inputs_length}, but targets_length is "
            f"{targets_length}; set targets_length to at least {needed} or shorten inputs_length."
        )
    return SegmentPlan(denoiser, tokens, needed, spans)


def plan_segments(
    denoisers: Sequence[Denoiser], inputs_length: int, targets_length: int, reserved: int = 0
) -> tuple[SegmentPlan, ...]:
    """`plan_segment` for each denoiser, in order."""
    return tuple(plan_segment(denoiser, inputs_length, targets_length, reserved) for denoiser in denoisers)


def sentinels_needed(plans: Sequence[SegmentPlan]) -> int:
    """The most sentinels that one side of one example can hold; 128 for (3, 0.5) at inputs of 512 tokens.

    A rotated mask can cut a run in two, which takes one more.
    """
    return max((max(p.spans, 1) + p.denoiser.random_roll for p in plans if p.denoiser.kind != "S"), default=0)
