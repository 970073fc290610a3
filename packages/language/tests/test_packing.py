from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.api import BatchPlan
from omnitrain.errors import DataError
from omnitrain_language.order import RowStream, permute
from omnitrain_language.packing import cut_to_capacity, gather_rows, pack, plan_best_fit

LENGTHS = st.lists(st.integers(1, 32), max_size=60)


@given(LENGTHS)
def test_every_item_has_its_own_place_and_no_row_overflows(lengths: list[int]) -> None:
    sizes = np.asarray(lengths, np.int64)
    plan = plan_best_fit(sizes, 32)
    assert sorted(plan.order.tolist()) == list(range(len(lengths)))
    for row in range(plan.rows):
        items = slice(plan.first[row], plan.first[row + 1])
        ends = plan.start[items] + sizes[plan.order[items]]
        assert ends[-1] <= 32
        assert (plan.start[items][1:] == ends[:-1]).all()
        assert plan.start[items][0] == 0


@given(LENGTHS.filter(len))
def test_best_fit_opens_a_row_only_where_no_row_has_room(lengths: list[int]) -> None:
    plan = plan_best_fit(np.asarray(lengths), 32)
    left: list[int] = []
    for need in sorted(lengths, reverse=True):
        fitting = [room for room in left if room >= need]
        if fitting:
            left.remove(min(fitting))
            left.append(min(fitting) - need)
        else:
            left.append(32 - need)
    assert plan.rows == len(left)


@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=16), min_size=1, max_size=30))
def test_packed_rows_hold_each_sequence_whole_with_its_segment_and_restarting_positions(rows: list[list[int]]) -> None:
    ids, segments, positions = pack([np.asarray(r) for r in rows], 16)
    found = []
    for row in range(len(ids)):
        for segment in range(1, segments[row].max() + 1):
            inside = segments[row] == segment
            assert positions[row][inside].tolist() == list(range(inside.sum()))
            found.append(ids[row][inside].tolist())
    assert sorted(found) == sorted(rows)
    assert (ids[segments == 0] == 0).all()


def test_realistic_documents_fill_more_than_97_percent() -> None:
    lengths = np.minimum(np.random.default_rng(0).lognormal(4.7, 1.0, 20_000).astype(np.int64) + 1, 1024)
    plan = plan_best_fit(lengths, 1024)
    assert lengths.sum() / (plan.rows * 1024) > 0.97


@pytest.mark.parametrize("lengths", [[0], [33], [-1]])
def test_item_that_fits_no_row_is_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match=r"1\.\.32"):
        plan_best_fit(np.asarray(lengths), 32)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20), st.integers(1, 30))
def test_cut_pieces_cover_every_position_once(lengths: list[int], capacity: int) -> None:
    sizes = np.asarray(lengths)
    starts = np.cumsum(sizes) - sizes
    pieces, counts = cut_to_capacity(starts, sizes, capacity)
    assert counts.max() <= capacity
    assert counts.min() >= 1
    covered = np.concatenate([np.arange(s, s + n) for s, n in zip(pieces, counts, strict=True)])
    assert covered.tolist() == list(range(sizes.sum()))
    plan = plan_best_fit(counts, capacity)
    rows = gather_rows(plan, pieces, counts, np.arange(plan.rows))
    assert sorted(rows.source[rows.source >= 0].tolist()) == covered.tolist()


@given(st.integers(1, 3000), st.integers(0, 2**40), st.integers(0, 1000))
def test_epoch_order_is_a_permutation_that_can_be_entered_anywhere(size: int, seed: int, epoch: int) -> None:
    whole = permute(np.arange(size), size, seed, epoch)
    assert sorted(whole.tolist()) == list(range(size))
    assert permute(np.asarray([size // 2]), size, seed, epoch)[0] == whole[size // 2]


def test_epoch_order_depends_on_seed_and_epoch_and_looks_uniform() -> None:
    orders = {tuple(permute(np.arange(100), 100, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
    first = np.asarray([permute(np.asarray([0]), 10, seed, 0)[0] for seed in range(5000)])
    assert (np.abs(np.bincount(first, minlength=10) - 500) < 100).all()
    neighbours = np.diff(permute(np.arange(10_000), 10_000, 0, 0))
    assert (np.abs(neighbours) == 1).mean() < 0.002


def stream(size: int, **plan: object) -> RowStream:
    return RowStream(size, BatchPlan(**{"batch_size": 4, "seed": 3, **plan}), lambda rows: {"rows": rows})  # type: ignore[arg-type]


def take(rows: RowStream, count: int) -> list[list[int]]:
    return [batch["rows"].tolist() for batch in islice(rows, count)]


def test_every_row_is_seen_once_per_epoch_over_all_processes() -> None:
    by_rank = [take(stream(10, rank=rank, world=2), 5) for rank in range(2)]
    seen = [row for step in range(5) for rank in range(2) for row in by_rank[rank][step]]
    for epoch in range(4):
        assert sorted(seen[epoch * 10 : epoch * 10 + 10]) == list(range(10))
    assert seen == [row for batch in take(stream(10), 10) for row in batch]


def test_resumed_stream_continues_exactly_even_with_another_number_of_processes() -> None:
    whole = stream(10)
    expected = take(whole, 12)
    resumed = stream(10)
    take(resumed, 6)
    state = resumed.state_dict()
    assert state == {"position": 24}
    fresh = stream(10)
    fresh.load_state_dict(state)
    assert take(fresh, 6) == expected[6:]
    ranks = [stream(10, batch_size=2, rank=r, world=2) for r in range(2)]
    for rank in ranks:
        rank.load_state_dict(state)
    assert [a + b for a, b in zip(take(ranks[0], 6), take(ranks[1], 6), strict=True)] == expected[6:]


def test_evaluation_sees_every_row_once_and_processes_the_same_number_of_batches() -> None:
    assert take(stream(10, train=False), 99) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert take(stream(10, train=False, rank=0, world=2), 99) == [[0, 1, 2, 3], [8, 9, -1, -1]]
    assert take(stream(10, train=False, rank=1, world=2), 99) == [[4, 5, 6, 7], [-1, -1, -1, -1]]


def test_split_without_rows_is_a_data_error() -> None:
    with pytest.raises(DataError):
        stream(0)
