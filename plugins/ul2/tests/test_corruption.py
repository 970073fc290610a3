"""Whole batches: mixed denoisers, modes, lengths and decoder inputs."""

import numpy as np
import pytest

from omnitrain.errors import DataError, UsageError
from omnitrain_ul2.paper.corruption import denoise_batch, plan_batches, shift_right
from omnitrain_ul2.paper.denoisers import CAUSAL_LM, PREFIX_LM, UL2_DENOISERS, Denoiser
from omnitrain_ul2.paper.sentinels import restore_text
from omnitrain_ul2.paper.vocabulary import Vocabulary

MODES = {"R": (1000,), "X": (1001,), "S": (1002,)}
PIECES = {"R": (10, 11, 12), "X": (10, 13), "S": (10, 14, 15, 12)}
FIRST = 1002 + 200


def vocabulary(modes=MODES, sentinels=130):
    return Vocabulary(FIRST, sentinels, ordinary_size=1000, mode_ids=modes)


def rebuild(inputs, targets):
    return restore_text(inputs, targets, FIRST, 150)


def segments(plan, index, generator, low=20):
    return [generator.integers(low, 1000, plan.segments[i].tokens_length, dtype=np.int32) for i in index]


def row(batch, number):
    inputs = batch.inputs[number, : batch.input_lengths[number]].tolist()
    return inputs, batch.targets[number, : batch.target_lengths[number]].tolist()


@pytest.mark.parametrize("modes", [{}, MODES, PIECES])
def test_full_segments_fill_the_inputs_exactly_in_one_mixed_batch(modes):
    generator = np.random.default_rng(0)
    plan = plan_batches(UL2_DENOISERS, vocabulary(modes))
    index = np.arange(28) % 7
    texts = segments(plan, index, generator)
    batch = denoise_batch(texts, index, plan, generator)
    assert batch.inputs.shape == (28, 512)
    assert batch.targets.shape[1] <= 512
    for number, (text, which) in enumerate(zip(texts, index, strict=True)):
        kind = UL2_DENOISERS[which].kind
        lead = len(modes.get(kind, ()))
        inputs, targets = row(batch, number)
        assert inputs[-1] == targets[-1] == 1
        assert tuple(inputs[:lead]) == tuple(modes.get(kind, ()))
        body = inputs[lead:-1]
        if kind == "S":
            assert body + targets[:-1] == text.tolist()
            assert len(body) + len(targets) - 1 == 511 - lead
            assert len(body) >= (len(text) - 1) // 2
        else:
            assert len(inputs) == 512
            assert len(targets) == plan.segments[which].targets_length
            assert rebuild(body, targets[:-1]) == text.tolist()
        assert not set(targets) & {token for ids in modes.values() for token in ids}


@pytest.mark.parametrize("which", range(7))
def test_mixed_batch_and_batch_of_one_denoiser_have_the_same_shape_of_examples(which):
    plan = plan_batches(UL2_DENOISERS, vocabulary())
    generator = np.random.default_rng(1)
    index = np.full(6, which)
    texts = segments(plan, index, generator)
    batch = denoise_batch(np.stack(texts), index, plan, generator)
    for number, text in enumerate(texts):
        inputs, targets = row(batch, number)
        body = inputs[1:-1]
        whole = body + targets[:-1] if which == 6 else rebuild(body, targets[:-1])
        assert whole == text.tolist()
        assert (max(body) >= FIRST - 130) == (which != 6)


@pytest.mark.parametrize("rolled", [False, True])
def test_short_last_segments_go_through_the_same_batch(rolled):
    denoisers = (*UL2_DENOISERS[:6], Denoiser("R", 3.0, 0.15, rolled), PREFIX_LM, CAUSAL_LM)
    plan = plan_batches(denoisers, vocabulary(sentinels=132))
    generator = np.random.default_rng(2)
    lengths = np.array([1, 2, 3, 17, 100, 400] * 9)
    index = np.repeat(np.arange(9), 6)
    tokens = generator.integers(20, 1000, (54, 400), dtype=np.uint16)
    batch = denoise_batch(tokens, index, plan, generator, lengths)
    assert batch.inputs.dtype == np.int32
    for number, length in enumerate(lengths):
        inputs, targets = row(batch, number)
        text = tokens[number, :length].tolist()
        body = inputs[1:-1]
        if index[number] == 8:
            assert body == []
        if index[number] >= 7:
            assert body + targets[:-1] == text
        elif not rolled or index[number] < 6:
            assert rebuild(body, targets[:-1]) == text
        assert (batch.inputs[number, len(inputs) :] == 0).all()
        assert (batch.targets[number, len(targets) :] == 0).all()


def test_over_long_segments_are_cut_at_the_end_and_keep_mode_and_eos():
    plan = plan_batches(UL2_DENOISERS[:1], vocabulary(sentinels=150), 64, 32)
    tokens = np.full((3, 600), 25, np.int32)
    batch = denoise_batch(tokens, np.zeros(3, int), plan, np.random.default_rng(0))
    assert batch.inputs.shape == (3, 64)
    assert batch.targets.shape == (3, 32)
    assert (batch.inputs[:, 0] == 1000).all()
    assert (batch.inputs[:, -1] == 1).all()
    assert (batch.targets[:, -1] == 1).all()


def test_too_few_sentinels_are_refused_when_planned_and_in_a_batch():
    with pytest.raises(UsageError, match="needs 128 sentinels"):
        plan_batches(UL2_DENOISERS, vocabulary({}, sentinels=100))
    plan = plan_batches(UL2_DENOISERS[:1], vocabulary(sentinels=30))
    with pytest.raises(UsageError, match="needs 50 sentinels"):
        denoise_batch(np.full((2, 1000), 25), [0, 0], plan, np.random.default_rng(0))


def test_empty_segments_are_refused():
    plan = plan_batches(UL2_DENOISERS, vocabulary())
    with pytest.raises(DataError, match="no tokens"):
        denoise_batch([np.array([5, 6]), np.array([], int)], [0, 6], plan, np.random.default_rng(0))


def test_same_generator_state_gives_the_same_batch():
    plan = plan_batches(UL2_DENOISERS, vocabulary())
    index = np.arange(21) % 7
    texts = segments(plan, index, np.random.default_rng(0))
    first, second = (denoise_batch(texts, index, plan, np.random.default_rng(4)) for _ in range(2))
    assert (first.inputs == second.inputs).all()
    assert (first.targets == second.targets).all()


def test_large_batches_written_in_parts_equal_small_ones():
    plan = plan_batches(UL2_DENOISERS[4:5], vocabulary())
    tokens = np.random.default_rng(0).integers(20, 1000, (300, 600), dtype=np.int32)
    whole = denoise_batch(tokens, np.zeros(300, int), plan, np.random.default_rng(0))
    # (64, 0.15) has one span, so that nothing is drawn and rows can be compared.
    single = denoise_batch(tokens[299:], np.zeros(1, int), plan, np.random.default_rng(0))
    assert (whole.inputs[299] == single.inputs[0]).all()
    assert (whole.targets[299] == single.targets[0]).all()


def test_decoder_inputs_lose_eos_and_restart_with_padding():
    targets = np.array([[5, 6, 1], [7, 1, 0]])
    assert shift_right(targets, np.array([3, 2])).tolist() == [[0, 5, 6], [0, 7, 0]]
