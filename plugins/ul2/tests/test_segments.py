"""Segments of every denoiser out of one tokenised stream."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnitrain.errors import DataError
from omnitrain_ul2.data.segments import Documents, SegmentOrder, SegmentTable
from omnitrain_ul2.paper.corruption import denoise_batch, plan_batches
from omnitrain_ul2.paper.denoisers import UL2_DENOISERS
from omnitrain_ul2.paper.lengths import SegmentPlan
from omnitrain_ul2.paper.vocabulary import Vocabulary

R, S = UL2_DENOISERS[0], UL2_DENOISERS[6]
MODES = {"R": (31998,), "X": (31999, 31999, 5), "S": (32000 - 3,)}


def table(documents, denoiser, length, join=128, shortest=8, shard=(0, 1)):
    return SegmentTable(documents, SegmentPlan(denoiser, length, length, 1), join, shortest, shard)


def rows_of(documents, found):
    starts, lengths = found.places(np.arange(len(found)))
    flat = documents.gather(starts, lengths)
    return [flat[a:b].tolist() for a, b in pairwise([0, *np.cumsum(lengths).tolist()])]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=20), data=st.data())
def test_gather_over_borders_of_documents_equals_plain_concatenation(sizes, data, token_file):
    plain = np.arange(10, 10 + sum(sizes))
    documents = Documents(token_file(np.split(plain, np.cumsum(sizes)[:-1])))
    starts = np.array(data.draw(st.lists(st.integers(0, len(plain) - 1), min_size=1, max_size=6)))
    lengths = np.array([data.draw(st.integers(1, len(plain) - start)) for start in starts.tolist()])
    flat = documents.gather(starts, lengths)
    assert flat.dtype == np.int32
    assert flat.tolist() == [t for s, n in zip(starts, lengths, strict=True) for t in plain[s : s + n].tolist()]


def test_r_and_x_join_documents_without_eos_and_s_never_joins(token_file):
    documents = Documents(token_file([range(10, 30), range(30, 55), range(55, 60)]))
    assert rows_of(documents, table(documents, R, 16)) == [list(range(10, 26)), list(range(26, 42)), list(range(42, 58))]
    alone = rows_of(documents, table(documents, S, 16))
    assert alone == [list(range(10, 26)), list(range(30, 46)), list(range(46, 55))]


def test_only_so_many_documents_are_joined(token_file):
    documents = Documents(token_file([range(10, 20), range(20, 30), range(30, 40)]))
    assert rows_of(documents, table(documents, R, 20, join=2)) == [list(range(10, 30)), list(range(30, 40))]


def test_rests_shorter_than_the_limit_are_left_out(token_file):
    documents = Documents(token_file([range(10, 45)]))
    assert [len(row) for row in rows_of(documents, table(documents, R, 16, shortest=3))] == [16, 16, 3]
    assert [len(row) for row in rows_of(documents, table(documents, R, 16, shortest=4))] == [16, 16]


def test_sharded_documents_are_dealt_out_in_blocks_and_each_is_used_once(token_file):
    documents = Documents(token_file([np.full(16, 10 + n) for n in range(12)]))
    seen = [rows_of(documents, table(documents, kind, 16, join=2, shard=(i, 3))) for i, kind in enumerate((R, R, S))]
    owned = [sorted({row[0] for row in rows}) for rows in seen]
    assert owned == [[10, 11, 16, 17], [12, 13, 18, 19], [14, 15, 20, 21]]
    assert all(len(set(row)) == 1 for row in seen[2])


def test_text_too_short_for_a_denoiser_says_so(token_file):
    documents = Documents(token_file([range(10, 14)]))
    with pytest.raises(DataError, match=r"too short for denoiser R\(3,0.15\).* segment of 8 tokens"):
        table(documents, R, 16)
    with pytest.raises(DataError, match="shard_documents to false"):
        table(documents, R, 4, shard=(1, 2))


@pytest.mark.parametrize("modes", [{}, MODES])
def test_one_stream_serves_segments_that_fill_512_inputs_exactly(modes, token_file):
    random = np.random.default_rng(0)
    documents = Documents(token_file([random.integers(10, 31000, n) for n in random.integers(30, 900, 40)]))
    plan = plan_batches(UL2_DENOISERS, Vocabulary(32127, 128, ordinary_size=32000, mode_ids=modes))
    lengths = [segment.tokens_length for segment in plan.segments]
    if not modes:
        assert lengths == [568, 588, 766, 908, 600, 1006, 511]
    for number in range(6):
        places = table(documents, plan.segments[number].denoiser, lengths[number]).places(np.arange(8))
        assert (places[1] == lengths[number]).all()
        index = np.full(8, number)
        batch = denoise_batch(documents.gather(*places), index, plan, random, places[1])
        assert (batch.input_lengths == 512).all()
        assert batch.inputs.shape == (8, 512)
        assert (batch.target_lengths == plan.segments[number].targets_length).all()


@given(size=st.integers(1, 50), seed=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_every_epoch_of_an_order_has_every_segment_once(size, seed):
    order = SegmentOrder(size, seed)
    epochs = [sorted(order(np.arange(e * size, (e + 1) * size)).tolist()) for e in range(3)]
    assert epochs == [list(range(size))] * 3


def test_order_is_a_function_of_the_position():
    order, other = SegmentOrder(5000, 1), SegmentOrder(5000, 1)
    whole = order(np.arange(0, 7000))
    parts = [other(np.arange(a, a + 700)) for a in (6300, 0, 2100, 700)]
    assert (np.concatenate(parts) == np.concatenate([whole[a : a + 700] for a in (6300, 0, 2100, 700)])).all()
    assert (SegmentOrder(5000, 2)(np.arange(100)) != whole[:100]).any()
