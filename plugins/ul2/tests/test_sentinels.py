"""Sentinels: rebuilding texts, general masks, and the vocabulary's checks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.errors import DataError, UsageError
from omnitrain_ul2.paper.sentinels import corrupt, restore_text, select
from omnitrain_ul2.paper.spans import noise_masks
from omnitrain_ul2.paper.vocabulary import Vocabulary, check_sentinels

VOCAB = 40_000
ORDINARY = 1000


def rebuild(inputs, targets):
    return restore_text(inputs, targets, VOCAB - 1, VOCAB - ORDINARY)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=5),
    st.floats(0.0, 0.95),
    st.floats(0.4, 80.0),
    st.integers(0, 2**32),
)
def test_targets_put_into_inputs_rebuild_the_text(lengths, rate, mean_span, seed):
    generator = np.random.default_rng(seed)
    try:
        mask = noise_masks(lengths, len(lengths), mean_span, rate, generator)
    except DataError:
        noise = np.clip(np.rint(np.float32(rate) * np.maximum(lengths, 2)), 1, np.maximum(lengths, 2) - 1)
        spans = np.rint(noise / np.float32(mean_span))
        assert (spans >= np.minimum(noise, np.maximum(lengths, 2) - noise)).any()
        return
    tokens = generator.integers(2, ORDINARY, mask.shape, dtype=np.int32)
    result = corrupt(tokens, mask, VOCAB, lengths)
    for row, length in enumerate(lengths):
        inputs = result.inputs[row, : result.input_lengths[row]].tolist()
        targets = result.targets[row, : result.target_lengths[row]].tolist()
        assert rebuild(inputs, targets) == tokens[row, :length].tolist()
        marks = [token for token in inputs if token >= ORDINARY]
        assert marks == list(range(VOCAB - 1, VOCAB - 1 - len(marks), -1))


@pytest.mark.parametrize("length", [1, 2, 3])
def test_shortest_texts_rebuild(length):
    tokens = np.arange(2, 2 + length)[None, :]
    result = corrupt(tokens, noise_masks(length, 1, 3.0, 0.15, np.random.default_rng(0)), VOCAB)
    assert rebuild(result.inputs[0].tolist(), result.targets[0].tolist()) == tokens[0].tolist()


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=20), min_size=1, max_size=5))
def test_batch_of_any_masks_equals_its_rows_one_by_one(rows):
    lengths = np.array([len(row) for row in rows])
    mask = np.zeros((len(rows), lengths.max()), bool)
    for number, row in enumerate(rows):
        mask[number, : len(row)] = row
    tokens = np.arange(mask.size).reshape(mask.shape)
    batch = corrupt(tokens, mask, VOCAB, lengths)
    for row, length in enumerate(lengths):
        single = corrupt(tokens[row : row + 1, :length], mask[row : row + 1, :length], VOCAB)
        assert batch.inputs[row, : batch.input_lengths[row]].tolist() == single.inputs[0].tolist()
        assert batch.targets[row, : batch.target_lengths[row]].tolist() == single.targets[0].tolist()
        assert (batch.inputs[row, batch.input_lengths[row] :] == 0).all()


def test_select_moves_chosen_tokens_to_the_left():
    halves, lengths = select(np.array([[5, 6, 7], [8, 9, 4]]), [[False, True, True], [True, False, False]])
    assert halves.tolist() == [[6, 7], [8, 0]]
    assert lengths.tolist() == [2, 1]


def test_too_few_sentinels_is_an_error_with_the_number_needed():
    check_sentinels(100, 100)
    with pytest.raises(UsageError, match="needs 128 sentinels in one example, but the vocabulary has 100"):
        check_sentinels(128, 100)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode_ids": {"R": (1050,)}}, "Id 1050 is both a sentinel and one of mode_ids of R"),
        ({"pad_id": 1099}, "Id 1099 is both a sentinel and one of pad_id"),
        ({"eos_id": 1000}, "Id 1000 is both a sentinel and one of eos_id"),
        ({"eos_id": 0}, "Id 0 is both pad_id and eos_id"),
        ({"mode_ids": {"S": (7, 1)}}, "Id 1 is both eos_id and mode_ids of S"),
        ({"ordinary_size": 1001}, "reach into the ordinary vocabulary"),
        ({"sentinels": 2000}, "do not fit below id 1099"),
        ({"mode_ids": {"Q": (7,)}}, "the kinds are R, X and S"),
    ],
)
def test_special_ids_never_meet(settings, message):
    with pytest.raises(UsageError, match=message):
        Vocabulary(**{"first_sentinel": 1099, "sentinels": 100, "ordinary_size": 1000, **settings})


def test_modes_as_text_may_share_pieces():
    modes = {"R": (784, 567, 908), "S": (784, 134, 357, 134, 908)}
    assert Vocabulary(first_sentinel=1099, sentinels=100, ordinary_size=1000, mode_ids=modes).mode_ids == modes
