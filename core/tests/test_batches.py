"""The order of batches is a function of seed and step alone."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.api import BatchPlan
from omnitrain.engine.batches import EpochOrder, MapFeed, count_batches, example_ids, in_order, make_feed, split_rows, to_device
from omnitrain.errors import DataError, EnvironmentFault, UsageError
from omnitrain_toy import configs, parts


def data(**settings_):
    return parts.Rows(configs.Rows(**settings_), None)


def take(feed, count):
    return [feed.next() for _ in range(count)]


def same(one, other):
    assert len(one) == len(other)
    for batches, others in zip(one, other, strict=True):
        assert len(batches) == len(others)
        for batch, twin in zip(batches, others, strict=True):
            assert batch.keys() == twin.keys()
            for name in batch:
                assert np.array_equal(batch[name], twin[name]), name


@pytest.mark.parametrize("noise", ["none", "global", "drawn"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_any_number_of_workers_gives_the_same_batches(noise, accumulate):
    plan = BatchPlan(8, seed=3)
    expected = take(make_feed(data(noise=noise), "train", plan, accumulate, 0), 10)
    for workers in (1, 2):
        feed = make_feed(data(noise=noise), "train", plan, accumulate, workers)
        same(take(feed, 10), expected)
        feed.close()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("noise", ["global", "drawn"])
def test_no_two_examples_share_their_noise(noise, workers):
    source = data(noise=noise)
    feed = make_feed(source, "train", BatchPlan(8, seed=0), workers=workers)
    noises = []
    for (batch,) in take(feed, 21):
        noises += (np.asarray(batch["x"]) - source.x[np.asarray(batch["example_ids"])])[:, 0].round(6).tolist()
    feed.close()
    assert len(noises) == 150
    assert len(set(noises)) == 150


def test_drawn_noise_depends_on_seed_epoch_and_example_only():
    source = data(noise="drawn")
    small = {}
    for batch_size in (4, 8):
        feed = make_feed(source, "train", BatchPlan(batch_size, seed=0))
        drawn = {}
        for (batch,) in take(feed, -(-50 // batch_size)):
            for row, x in zip(batch["example_ids"], batch["x"], strict=True):
                drawn[int(row)] = x.tolist()
        small = small or drawn
        assert drawn == small
    other = make_feed(source, "train", BatchPlan(8, seed=1)).next()[0]
    assert other["x"][0].tolist() != small[int(other["example_ids"][0])]


class _Failing:
    """Rows of which one can't be read, in the way that is chosen."""

    batch = {"x": "int64[batch]"}  # noqa: RUF012
    fingerprint = "0" * 16

    def __init__(self, way):
        self.way = way

    def splits(self):
        return ["train"]

    def examples(self, split):
        return self

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == 5:
            self.way()
        return index

    def collate(self, examples):
        return {"x": np.array(examples)}


def _malformed():
    raise DataError("rows.jsonl:6: not JSON.")


@pytest.mark.parametrize("workers", [0, 1])
def test_error_of_a_worker_says_what_it_says_without_workers(workers):
    feed = make_feed(_Failing(_malformed), "train", BatchPlan(8, seed=0), workers=workers)
    with pytest.raises(DataError) as caught:
        feed.next()
    assert str(caught.value) == "rows.jsonl:6: not JSON."
    feed.close()


def test_dead_worker_is_an_error_of_the_machine():
    feed = make_feed(_Failing(lambda: os.kill(os.getpid(), signal.SIGKILL)), "train", BatchPlan(8, seed=0), workers=1)
    with pytest.raises(EnvironmentFault, match=r"A data worker died .* lower fit\.workers"):
        feed.next()
    feed.close()


def test_process_with_open_workers_ends():
    """Workers outlive SIGTERM, by which an interpreter that ends would otherwise wait for them for ever."""
    code = """
from omnitrain_toy.configs import Rows
from omnitrain_toy.parts import Rows as build
from omnitrain.api import BatchPlan
from omnitrain.engine.batches import make_feed
feed = make_feed(build(Rows(), None), "train", BatchPlan(8, seed=0), workers=2)
feed.next()
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_global_generators_are_left_alone():
    np.random.seed(1)
    torch.manual_seed(1)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    take(make_feed(data(noise="global"), "train", BatchPlan(8, seed=0)), 3)
    take(make_feed(data(noise="global", form="iterable"), "train", BatchPlan(8, seed=0)), 3)
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


@given(
    count=st.integers(1, 60),
    batch_size=st.integers(1, 20),
    world=st.integers(1, 3),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=100, deadline=None)
def test_every_epoch_holds_every_row_once(count, batch_size, world, seed):
    orders = [EpochOrder(count, BatchPlan(batch_size, seed, rank, world)) for rank in range(world)]
    for epoch in range(2):
        rows = []
        for update in range(orders[0].per_epoch):
            for order in orders:
                chosen, found = order.rows(epoch * order.per_epoch + update)
                assert found == epoch
                assert 0 < len(chosen) <= batch_size
                rows += chosen.tolist()
        assert set(rows) == set(range(count))
        assert len(rows) == count if world == 1 else len(rows) < count + world


def test_evaluation_goes_through_the_rows_in_order():
    order = EpochOrder(10, BatchPlan(4, 0, train=False))
    assert [order.rows(i)[0].tolist() for i in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


FORMS = ["map", "iterable", "stream", "gather"]


@pytest.mark.parametrize("form", FORMS)
def test_split_is_gone_through_once_and_in_order(form):
    source = data(form=form, validation=20)
    batches = list(in_order(source, "valid", 8))
    assert [len(batch["y"]) for batch in batches] == [8, 8, 4]
    assert np.array_equal(np.concatenate([batch["y"] for batch in batches]), source.y[50:])
    assert [len(batch["y"]) for batch in in_order(source, "valid", 8, most=2)] == [8, 8]
    assert count_batches(source, "valid", 8) == (None if form in ("iterable", "stream") else 3)
    assert count_batches(source, "valid", 8, most=2) == (None if form in ("iterable", "stream") else 2)


def test_examples_that_are_drawn_are_the_same_for_the_same_seed_whatever_was_drawn_before():
    source = data(noise="drawn", validation=20)
    whole = list(in_order(source, "valid", 8, seed=1))
    same([whole[:1]], [list(in_order(source, "valid", 8, seed=1, most=1))])
    other = next(in_order(source, "valid", 8, seed=2))
    assert not np.array_equal(other["x"], whole[0]["x"])


@pytest.mark.parametrize("form", FORMS)
def test_batches_in_order_are_made_when_they_are_asked_for(form):
    batches = in_order(data(form=form, validation=20, broken_at=12), "valid", 5)
    assert [len(next(batches)["y"]) for _ in range(2)] == [5, 5]
    with pytest.raises(DataError, match=r"valid\.jsonl:12: not valid JSON"):
        next(batches)


@pytest.mark.parametrize("form", FORMS)
def test_end_of_a_split_is_a_value(form):
    feed = make_feed(data(form=form, validation=6), "valid", BatchPlan(4, 0, train=False))
    assert [None if found is None else len(found[0]["y"]) for found in take(feed, 4)] == [4, 2, None, None]


@pytest.mark.parametrize("form", ["map", "iterable", "stream", "gather"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_continued_feed_gives_what_the_uninterrupted_one_gives(form, accumulate):
    plan, source = BatchPlan(8, seed=5), data(form=form, noise="none" if form in ("stream", "gather") else "global")
    whole = take(make_feed(source, "train", plan, accumulate), 20)
    first = make_feed(source, "train", plan, accumulate)
    take(first, 9)
    later = make_feed(source, "train", plan, accumulate)
    later.load_state_dict(first.state_dict())
    same(take(later, 11), whole[9:])


class _Huge:
    """Ten million rows that count how often they are read."""

    batch = {"x": "int64[batch]"}  # noqa: RUF012
    fingerprint = "0" * 16

    def __init__(self):
        self.gathered = []

    def splits(self):
        return ["train"]

    def examples(self, split):
        return range(10_000_000)

    def collate(self, examples):
        raise AssertionError("gather is used")

    def gather(self, split, rows):
        self.gathered.append(rows)
        return {"x": rows}


def test_resuming_reads_nothing_that_was_seen_before():
    source = _Huge()
    feed = make_feed(source, "train", BatchPlan(8, seed=0))
    feed.load_state_dict({"update": 1_000_000})
    batch = feed.next()[0]
    assert len(source.gathered) == 1
    assert isinstance(feed, MapFeed)
    assert np.array_equal(feed.fetch(1_000_000)[0]["x"], batch["x"])
    assert feed.state_dict() == {"update": 1_000_001}


class _Kept:
    """An iterable that holds drawn examples back, so that its position alone does not say where it stands."""

    batch = {"x": "int64[batch]"}  # noqa: RUF012
    fingerprint = "0" * 16

    def splits(self):
        return ["train"]

    def examples(self, split):
        return self

    def collate(self, examples):
        return {"x": np.array(examples)}

    def __iter__(self):
        kept = []
        for i in range(100):
            kept.append(i)
            if len(kept) > 10:
                yield kept.pop(np.random.randint(10))
        yield from kept


def test_iterable_with_a_shuffle_buffer_is_continued_exactly():
    plan = BatchPlan(4, seed=0)
    whole = take(make_feed(_Kept(), "train", plan), 30)
    feed = make_feed(_Kept(), "train", plan)
    feed.load_state_dict({"stream": {"taken": 40, "passes": 0}})
    same(take(feed, 20), whole[10:])


def test_iterable_that_shrank_is_refused():
    feed = make_feed(data(form="iterable"), "train", BatchPlan(8, seed=0))
    with pytest.raises(DataError, match="fewer examples than when the checkpoint was taken"):
        feed.load_state_dict({"stream": {"taken": 51, "passes": 0}})


@pytest.mark.parametrize("form", ["map", "iterable", "gather"])
def test_empty_split_is_refused(form):
    with pytest.raises(DataError, match="has no examples"):
        make_feed(data(form=form, rows=0), "train", BatchPlan(8, seed=0)).next()


def test_unknown_split_is_refused_and_the_known_are_named():
    with pytest.raises(DataError, match=r"no split 'test'; it has train, valid"):
        make_feed(data(), "test", BatchPlan(8, seed=0))


@pytest.mark.parametrize("form", ["map", "iterable", "gather"])
def test_fewer_rows_than_a_batch_make_a_short_batch(form):
    batches = make_feed(data(form=form, rows=3), "train", BatchPlan(8, seed=0), accumulate=5).next()
    assert [len(batch["y"]) for batch in batches] == [1, 1, 1]


@given(rows=st.integers(1, 17), parts=st.integers(1, 20), axis=st.integers(0, 1), arrays=st.booleans())
@settings(max_examples=60, deadline=None)
def test_cut_batches_hold_every_row_once_and_in_order(rows, parts, axis, arrays):
    value = torch.arange(rows * 3).reshape((rows, 3) if axis == 0 else (3, rows))
    batch = {"x": value.numpy() if arrays else value, "example_ids": np.arange(rows)}
    pieces = split_rows(batch, {"x": "int64[batch, k]" if axis == 0 else "int64[k, batch]"}, parts)
    assert len(pieces) == min(rows, parts)
    sizes = [piece["x"].shape[axis] for piece in pieces]
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(torch.cat([torch.as_tensor(piece["x"]) for piece in pieces], axis), value)
    assert example_ids(pieces) == list(range(rows))


class Graphs:
    """Data with an order of its own whose edges belong to no row."""

    fingerprint, batch = "0123456789abcdef", {"sizes": "int64[batch]", "edges": "int64[2, edges]", "hint": "float32[]?"}

    def splits(self):
        return ["train"]

    def batches(self, split, plan):
        return iter([])


class CutGraphs(Graphs):
    def split_batch(self, batch, parts):
        return [batch] * parts


def test_batches_with_fields_of_no_row_are_refused_at_the_start_instead_of_being_repeated():
    plan = BatchPlan(8, seed=0)
    make_feed(Graphs(), "train", plan)
    make_feed(CutGraphs(), "train", plan, accumulate=2)
    with pytest.raises(UsageError, match=r"'edges' \(int64\[2, edges\]\) has no dimension.*fit.accumulate=1.*split_batch"):
        make_feed(Graphs(), "train", plan, accumulate=2)


@pytest.mark.parametrize(
    ("batch", "fields", "said"),
    [
        ({"x": torch.zeros(3)}, {"x": "float32[rows]"}, "'x'"),
        ({"y": torch.zeros(3), "x": torch.zeros(3)}, {"y": "float32[batch]", "x": "float32[rows]?"}, "'x'"),
        ({"y": torch.zeros(3), "texts": ["a", "b", "c"]}, {"y": "float32[batch]"}, r"'texts' \(not declared\)"),
    ],
)
def test_field_without_a_batch_dimension_is_not_cut(batch, fields, said):
    with pytest.raises(UsageError, match=said):
        split_rows(batch, fields, 2)


def test_iterables_that_cut_their_batches_themselves_are_asked():
    class Cut(type(data(form="iterable"))):
        def split_batch(self, batch, parts):
            return [batch] * parts

    source = data(form="iterable")
    source.__class__ = Cut
    assert len(make_feed(source, "train", BatchPlan(8, seed=0), accumulate=3).next()) == 3


def test_batches_become_tensors_and_keep_what_is_none():
    moved = to_device({"x": np.ones(2, np.float32), "text": ["a", "b"], "example_ids": np.arange(2)}, torch.device("cpu"))
    assert torch.equal(moved["x"], torch.ones(2))
    assert moved["text"] == ["a", "b"]
    assert "example_ids" not in moved
