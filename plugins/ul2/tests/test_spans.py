"""Noise counts, the law of the spans, and masks."""

from itertools import combinations
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.errors import DataError
from omnitrain_ul2.paper.spans import (
    draw_ends,
    draw_equal_ends,
    draw_spans,
    mask_from_spans,
    noise_counts,
    noise_masks,
    roll_masks,
    spans_from_mask,
)


def span_count(mask):
    return (np.diff(mask.astype(np.int8), axis=1, prepend=0) == 1).sum(axis=1)


@pytest.mark.parametrize(("length", "expected"), [(190, 29), (350, 53), (390, 59)])
def test_batch_masks_have_the_float32_noise_counts(length, expected):
    mask = noise_masks(length, 16, 3.0, 0.15, np.random.default_rng(0))
    assert (mask.sum(axis=1) == expected).all()


def test_ragged_batch_has_the_float32_noise_counts_too():
    mask = noise_masks([190, 350, 390, 200], 4, 3.0, 0.15, np.random.default_rng(0))
    assert mask.sum(axis=1).tolist() == [29, 53, 59, 30]


def test_masks_start_with_kept_tokens_and_end_with_noise():
    lengths = np.array([5, 64, 300, 2])
    mask = noise_masks(lengths, 4, 3.0, 0.5, np.random.default_rng(1))
    assert not mask[:, 0].any()
    assert mask[np.arange(4), lengths - 1].all()
    assert not mask[0, 5:].any()


def test_single_token_is_never_noise_and_rate_zero_makes_no_noise():
    generator = np.random.default_rng(0)
    assert noise_masks(1, 3, 3.0, 0.5, generator).tolist() == [[False]] * 3
    assert not noise_masks([7, 30], 2, 3.0, 0.0, generator).any()
    assert noise_masks([7, 30], 2, 3.0, [0.0, 0.5], generator).sum(axis=1).tolist() == [0, 15]


def test_64_at_15_percent_of_512_is_one_span_at_the_end():
    mask = noise_masks(512, 4, 64.0, 0.15, np.random.default_rng(0))
    assert (mask == (np.arange(512) >= 512 - 77)).all()


def test_more_spans_than_kept_or_noise_tokens_is_an_error_with_the_numbers():
    generator = np.random.default_rng(0)
    with pytest.raises(DataError, match="10 tokens needs 8 spans, but there are 8 noise and 2 other"):
        noise_masks(10, 2, 1.0, 0.8, generator)
    with pytest.raises(DataError, match="20 tokens needs 20 spans, but there are 10 noise and 10 other"):
        noise_masks([20, 20], 2, 0.5, 0.5, generator)
    with pytest.raises(DataError, match="no tokens"):
        noise_masks([3, 0], 2, 3.0, 0.5, generator)


def chosen_cuts(ends):
    return [tuple(row) for row in ends.tolist()]


@pytest.mark.parametrize("ragged", [False, True])
def test_every_composition_is_equally_likely(ragged):
    draws, items, parts = 30_000, 7, 3
    generator = np.random.default_rng(5)
    if ragged:
        sizes = np.full(draws + 2, items)
        counts = np.full(draws + 2, parts)
        sizes[-2:], counts[-2:] = (40, 9), (20, 1)
        ends = draw_ends(sizes, counts, generator)[:-2, :parts]
    else:
        ends = draw_equal_ends(draws, items, parts, generator)
    possible = [(a, b, items) for a, b in combinations(range(1, items), 2)]
    seen = chosen_cuts(ends)
    counts = np.array([seen.count(cuts) for cuts in possible])
    assert counts.sum() == draws
    expected = draws / len(possible)
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert statistic < 36.1  # chi-square, 14 degrees of freedom, p = 0.001


def test_span_length_distribution_is_that_of_uniform_compositions():
    draws, length = 3000, 568
    mask = noise_masks(length, draws, 3.0, 0.15, np.random.default_rng(2))
    noise, spans = 85, 28
    assert (mask.sum(axis=1) == noise).all()
    assert (span_count(mask) == spans).all()
    change = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    sizes = np.nonzero(change == -1)[1] - np.nonzero(change == 1)[1]
    for size in (1, 2, 5, 10):
        exact = comb(noise - size - 1, spans - 2) / comb(noise - 1, spans - 1)
        assert abs((sizes == size).mean() - exact) < 4 * sqrt(exact * (1 - exact) / (draws * spans))


def test_tied_keys_are_drawn_again(monkeypatch):
    # With few random bits most rows tie; the law must stay uniform.
    monkeypatch.setattr("omnitrain_ul2.paper.spans.MAX_INDEX_BITS_IN_32", 32)

    class Coarse:
        """A generator of words with two random bits in each half."""

        def __init__(self):
            self.generator = np.random.default_rng(3)

        def integers(self, low, high, size, dtype):
            words = self.generator.integers(low, high, size, dtype=dtype)
            return words & np.uint64(0xC0000000C0000000)

    draws = 6000
    for ends in (
        draw_equal_ends(draws, 4, 2, Coarse()),
        draw_ends(np.full(draws, 4), np.full(draws, 2), Coarse()),
    ):
        counts = np.bincount(ends[:, 0], minlength=4)[1:]
        assert ((counts - draws / 3) ** 2 / (draws / 3)).sum() < 13.8  # 2 degrees of freedom, p = 0.001


@given(st.lists(st.tuples(st.integers(1, 60), st.data()), min_size=1, max_size=6))
def test_ragged_segments_are_increasing_and_complete(rows):
    items = np.array([size for size, _ in rows])
    parts = np.array([data.draw(st.integers(1, size)) for size, data in rows])
    ends = draw_ends(items, parts, np.random.default_rng(0))
    for row, size, count in zip(ends, items, parts, strict=True):
        assert (np.diff(row[:count], prepend=0) > 0).all()
        assert (row[count - 1 :] == size).all()


def test_long_rows_use_wide_keys():
    ends = draw_equal_ends(2, 70_000, 30_000, np.random.default_rng(0))
    assert (np.diff(ends, prepend=0, axis=1) > 0).all()
    assert (ends[:, -1] == 70_000).all()


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=25), min_size=1, max_size=5))
def test_any_mask_survives_the_way_through_runs(rows):
    lengths = np.array([len(row) for row in rows])
    mask = np.zeros((len(rows), lengths.max()), bool)
    for number, row in enumerate(rows):
        mask[number, : len(row)] = row
    assert (mask_from_spans(spans_from_mask(mask, lengths)) == mask).all()


@given(st.integers(1, 700), st.sampled_from([0.15, 0.25, 0.5]), st.sampled_from([3.0, 8.0, 64.0]))
def test_counts_of_drawn_masks_are_the_computed_ones(length, rate, mean_span):
    noise, spans = noise_counts([length], mean_span, rate)
    mask = noise_masks(length, 3, mean_span, rate, np.random.default_rng(0))
    assert (mask.sum(axis=1) == (noise[0] if length > 1 else 0)).all()
    assert (span_count(mask) == (spans[0] if length > 1 else 0)).all()


def test_equal_rows_and_ragged_rows_share_the_representation():
    equal = draw_spans(np.full(5, 90), 3.0, 0.5, np.random.default_rng(0))
    again = spans_from_mask(mask_from_spans(equal))
    count = equal.kept_ends.shape[1]
    assert (again.kept_ends[:, :count] == equal.kept_ends).all()
    assert (again.noise_ends[:, :count] == equal.noise_ends).all()


def test_roll_turns_each_row_within_its_own_length():
    mask = np.array([[0, 0, 1, 0], [0, 1, 1, 1]], bool)
    rolled = roll_masks(mask, np.array([3, 4]), [1, 2])
    assert rolled.astype(int).tolist() == [[1, 0, 0, 0], [1, 1, 0, 1]]


def test_random_roll_makes_every_position_equally_likely():
    mask = noise_masks(20, 8000, 3.0, 0.25, np.random.default_rng(0), random_roll=True)
    assert (mask.sum(axis=1) == 5).all()
    assert np.abs(mask.mean(axis=0) - 0.25).max() < 4 * sqrt(0.25 * 0.75 / 8000)


def test_same_seed_gives_the_same_masks():
    first, second = (noise_masks([50, 300, 50], 3, 3.0, 0.5, np.random.default_rng(9)) for _ in range(2))
    assert (first == second).all()
