"""Segment lengths per denoiser, and the split of the S denoiser."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.errors import DataError, UsageError
from omnitrain_ul2.paper.denoisers import CAUSAL_LM, PREFIX_LM, UL2_DENOISERS, Denoiser, span_corruption
from omnitrain_ul2.paper.lengths import plan_segment, plan_segments, sentinels_needed
from omnitrain_ul2.paper.prefix import draw_prefix_lengths, prefix_bounds


def test_plans_at_512_are_those_of_the_official_code():
    plans = plan_segments(UL2_DENOISERS, 512, 512)
    assert [(plan.tokens_length, plan.targets_length) for plan in plans[:6]] == [
        (568, 114),
        (588, 100),
        (766, 512),
        (908, 512),
        (600, 92),
        (1006, 512),
    ]
    assert plans[6].tokens_length == 511


def test_3_at_half_needs_128_sentinels_at_512():
    assert sentinels_needed(plan_segments(UL2_DENOISERS, 512, 512)) == 128
    assert sentinels_needed(plan_segments([Denoiser("X", 3.0, 0.5, random_roll=True)], 512, 512)) == 129
    assert sentinels_needed(plan_segments([PREFIX_LM, CAUSAL_LM], 512, 512)) == 0


def test_room_for_modes_is_taken_off_the_inputs():
    for denoiser in UL2_DENOISERS:
        assert plan_segment(denoiser, 512, 512, reserved=5).tokens_length == plan_segment(denoiser, 507, 512).tokens_length


def test_targets_that_do_not_fit_name_the_length_needed():
    with pytest.raises(UsageError, match=r"R\(3,0.15\) needs targets of 114 tokens .* set targets_length to at least 114"):
        plan_segment(UL2_DENOISERS[0], 512, 100)
    with pytest.raises(UsageError, match=r"S\(0.25\) needs targets of"):
        plan_segment(UL2_DENOISERS[6], 512, 100)


def test_inputs_too_short_for_the_modes_are_refused():
    with pytest.raises(UsageError, match="use at least 8"):
        plan_segment(UL2_DENOISERS[0], 6, 512, reserved=5)


def test_causal_lm_fills_the_targets():
    assert plan_segment(CAUSAL_LM, 512, 128).tokens_length == 127


@given(st.integers(8, 700), st.sampled_from(UL2_DENOISERS[:6]))
def test_one_more_raw_token_would_not_fit(inputs_length, denoiser):
    plan = plan_segment(denoiser, inputs_length, 4096)
    tokens = plan.tokens_length + 1
    noise = round(tokens * denoiser.rate)
    inputs = tokens - noise + max(1, round(noise / denoiser.mean_span)) + 1
    # At 0.5 one raw token can have been given up for the targets.
    assert inputs > inputs_length or denoiser.rate == 0.5


def test_quarter_density_never_splits_before_the_middle_and_half_density_does():
    generator = np.random.default_rng(0)
    quarter = draw_prefix_lengths(np.full(5000, 101), 0.25, generator)
    half = draw_prefix_lengths(np.full(5000, 101), 0.5, generator)
    assert quarter.min() == 50
    assert quarter.max() == 100
    assert half.min() == 1
    assert half.max() == 100


def test_split_is_uniform_between_its_bounds():
    prefix = draw_prefix_lengths(np.full(20_000, 21), 0.25, np.random.default_rng(0))
    counts = np.bincount(prefix, minlength=21)[10:]
    expected = 20_000 / 11
    assert ((counts - expected) ** 2 / expected).sum() < 29.6  # 10 degrees of freedom, p = 0.001


def test_single_token_has_an_empty_prefix():
    low, high = prefix_bounds([1, 2], 0.25)
    assert low.tolist() == [0, 1]
    assert high.tolist() == [1, 2]
    with pytest.raises(DataError, match="no tokens"):
        prefix_bounds([0], 0.25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Q", 3.0, 0.15), "unknown"),
        (("R", None, 0.15), "mean_span is None"),
        (("R", 3.0, 1.0), "below 1"),
        (("S", 3.0, 0.25), "no mean_span"),
        (("S", None, 0.7), "0 to 0.5"),
    ],
)
def test_impossible_denoisers_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Denoiser(*arguments)


def test_long_spans_or_high_rates_are_extreme():
    assert [denoiser.is_extreme for denoiser in UL2_DENOISERS] == [d.kind == "X" for d in UL2_DENOISERS]
    assert span_corruption(12.0, 0.15).kind == "X"
    assert span_corruption(3.0, 0.3).kind == "X"
    assert span_corruption(11.9, 0.29).kind == "R"
