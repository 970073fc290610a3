"""Several data as one: exact shares, one plan from any point and with any workers, every ability, and what is refused."""

import json
import re
from collections import Counter
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mixing import Drawn, Gathered, Listed, Noisy, Streamed, mixture
from pydantic import ValidationError

from omnitrain.api import BatchPlan, misfits
from omnitrain.engine.batches import in_order, make_feed
from omnitrain.errors import DataError, OmnitrainError, UsageError
from omnitrain.mixture.configs import MixtureConfig
from omnitrain.mixture.shares import LONGEST, shares, turns, whole
from omnitrain.mixture.turns import Turns

PLAN = BatchPlan(8, seed=3)
KINDS = {"listed": Listed, "gathered": Gathered, "noisy": Noisy, "drawn": Drawn, "streamed": Streamed}
UNITS = ["example", "micro-batch", "update"]


def take(feed, count):
    return [feed.next() for _ in range(count)]


def train(data, count, plan=PLAN, accumulate=1, workers=0):
    feed = make_feed(data, "train", plan, accumulate, workers)
    try:
        return take(feed, count)
    finally:
        feed.close()


def equal(one, other):
    assert [len(batches) for batches in one] == [len(batches) for batches in other]
    for batch, twin in zip(chain(*one), chain(*other), strict=True):
        assert batch.keys() == twin.keys()
        for name, value in batch.items():
            assert np.array_equal(value, twin[name]), name


def rows_of(updates, mark):
    """The rows of a member in the order in which they came."""
    return [int(x) % 100 for batches in updates for batch in batches for x in batch["x"] if int(x) // 100 == mark]


# Shares and turns


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.integers(0, 5000))
def test_whole_numbers_are_within_one_of_the_shares_and_sum_to_the_total(weights, total):
    parts = shares(weights, [None] * len(weights), 0)
    found = whole(parts, total)
    assert sum(found) == total
    assert all(abs(count - part * total) < 1 + 1e-6 for count, part in zip(found, parts, strict=True))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.booleans(), st.integers(0, 2**40))
def test_every_cycle_has_each_member_s_turns_and_any_stretch_is_a_part_of_the_whole(counts, shuffled, seed):
    length = sum(counts)
    members, earlier = Turns(counts, shuffled, seed)(0, 3 * length)
    for cycle in range(3):
        found = Counter(members[cycle * length : (cycle + 1) * length].tolist())
        assert found == Counter(dict(enumerate(counts)))
    for number in range(len(counts)):
        assert earlier[members == number].tolist() == list(range(3 * counts[number]))
    again = Turns(counts, shuffled, seed)
    for first, last in [(length, 2 * length + 1), (0, 1), (1, 3 * length)]:
        part, before = again(first, last)
        assert part.tolist() == members[first:last].tolist()
        assert before.tolist() == earlier[first:last].tolist()


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_alternating_turns_are_spread_evenly(counts):
    length = sum(counts)
    members, _ = Turns(counts, False, 0)(0, length)
    for number, count in enumerate(counts):
        so_far = np.cumsum(members == number)
        assert np.abs(so_far - np.arange(1, length + 1) * count / length).max() <= len(counts) / 2 + 1
    assert Turns([2, 2, 2], False, 0)(0, 6)[0].tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("weights", "sizes", "alpha", "expected"),
    [
        ([2, 1], [None, None], 0, [2, 1]),
        ([0.7, 0.3], [None, None], 0, [7, 3]),
        ([1, 1], [30, 10], 1, [30, 10]),
        ([1, 2], [30, 10], 1, [3, 2]),
        ([1, 1], [400, 100], 0.5, [2, 1]),
    ],
)
def test_cycle_has_the_smallest_whole_numbers_and_a_union_a_turn_for_each_example(weights, sizes, alpha, expected):
    assert turns(["a", "b"], weights, sizes, alpha) == expected


def test_shares_that_no_small_numbers_give_are_rounded_to_a_long_cycle():
    found = turns(["a", "b"], [1, 1], [3, 5], 0.37)
    assert sum(found) == LONGEST
    assert found[1] / found[0] == pytest.approx((5 / 3) ** 0.37, rel=1e-5)


# The plan


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("kinds", [("listed", "gathered"), ("drawn", "noisy"), ("streamed", "drawn"), ("streamed", "streamed")])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_anywhere_and_with_any_workers_it_gives_the_same_batches(unit, kinds, accumulate):
    def data():
        members = {name: KINDS[kind](7 + 4 * mark, mark) for mark, (name, kind) in enumerate(zip("ab", kinds, strict=True))}
        return mixture(members, {"a": {"weight": 2.0}}, unit=unit)

    expected = train(data(), 9, accumulate=accumulate)
    for start in (1, 4, 7):
        before = make_feed(data(), "train", PLAN, accumulate)
        take(before, start)
        np.random.rand(5)
        after = make_feed(data(), "train", PLAN, accumulate)
        after.load_state_dict(json.loads(json.dumps(before.state_dict())))
        equal(take(after, 9 - start), expected[start:])
    if "streamed" not in kinds:
        for workers in (1, 2):
            equal(train(data(), 5, accumulate=accumulate, workers=workers), expected[:5])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 5), st.sampled_from(UNITS))
def test_shares_are_exact_over_whole_cycles(weights, batch_size, unit):
    data = mixture(
        {name: Listed(3 + i, i) for i, name in zip(range(len(weights)), "abcd", strict=False)},
        {name: {"weight": float(weight)} for name, weight in zip("abcd", weights, strict=False)},
        unit=unit,
    )
    updates = train(data, sum(weights) * 2, BatchPlan(batch_size, 0))
    ids = [int(i) for batches in updates for batch in batches for i in batch["member_ids"]]
    assert Counter(ids) == {i: 2 * weight * batch_size for i, weight in enumerate(weights)}
    assert [int(x) // 100 for batches in updates for batch in batches for x in batch["x"]] == ids


def test_union_shows_every_example_once_an_epoch_in_a_new_order():
    data = mixture({"a": Listed(10, 0), "b": Gathered(22, 1)}, alpha=1.0)
    updates = train(data, 8)
    epochs = [[int(x) for batches in part for batch in batches for x in batch["x"]] for part in (updates[:4], updates[4:])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [*range(10), *range(100, 122)]
    assert epochs[0] != epochs[1]
    assert sorted(i for batches in updates[:4] for batch in batches for i in batch["example_ids"]) == list(range(32))


@pytest.mark.parametrize("unit", UNITS)
def test_an_example_comes_again_when_all_of_its_member_had_their_turn(unit):
    updates = train(mixture({"a": Listed(5, 0), "b": Listed(50, 1)}, unit=unit), 20, accumulate=2)
    rows = rows_of(updates, 0)
    passes = [tuple(rows[i : i + 5]) for i in range(0, len(rows) - 4, 5)]
    assert all(sorted(part) == list(range(5)) for part in passes)
    assert len(set(passes)) > 1


def test_examples_of_a_member_are_drawn_anew_each_pass():
    updates = train(mixture({"a": Drawn(4, 0), "b": Listed(4, 1)}), 10)
    drawn = [int(x) for batches in updates for batch in batches for x in batch["x"][batch["member_ids"] == 0]]
    assert len(drawn) == len(set(drawn)) == 40


def test_cap_is_a_fixed_choice_of_the_seed_or_goes_through_all():
    def found(redraw, seed, updates=10):
        data = mixture({"a": Listed(30, 0), "b": Listed(10, 1)}, {"a": {"cap": 10}}, alpha=1.0, redraw=redraw)
        return rows_of(train(data, updates, BatchPlan(20, seed)), 0)

    fixed = found(False, 0)
    assert len(set(fixed)) == 10
    assert len(fixed) == 100
    assert set(found(False, 1)) != set(fixed)
    assert sorted(found(True, 0, 3)) == list(range(30))


@pytest.mark.parametrize("kind", ["listed", "streamed"])
@pytest.mark.parametrize("unit", UNITS)
def test_processes_share_every_update(kind, unit):
    data = mixture({"a": Listed(40, 0), "b": KINDS[kind](40, 1)}, unit=unit)
    single = train(data, 6, BatchPlan(8, 0))
    shared = [train(data, 6, BatchPlan(4, 0, rank, 2)) for rank in (0, 1)]
    for whole_, *parts in zip(single, *shared, strict=True):
        members = [sorted(int(x) // 100 for batch in part for x in batch["x"]) for part in (whole_, *parts)]
        assert len(members[1]) == len(members[2]) == 4
        if kind == "listed" or unit != "example":
            assert members[0] == sorted(members[1] + members[2])
        if kind == "listed":
            assert sorted(int(x) for batch in whole_ for x in batch["x"]) == sorted(
                int(x) for part in parts for batch in part for x in batch["x"]
            )


# What a batch holds


def test_rows_of_several_members_are_padded_and_every_value_is_its_own():
    (batch,) = train(mixture({"a": Listed(10, 0), "b": Gathered(10, 1)}), 1)[0]
    assert "member" not in batch
    for x, ids, member in zip(batch["x"].tolist(), batch["input_ids"], batch["member_ids"].tolist(), strict=True):
        row = x % 100
        assert member == x // 100
        assert ids[: row % 4 + 1].tolist() == [row] * (row % 4 + 1)
        assert (ids[row % 4 + 1 :] == 9).all()


@pytest.mark.parametrize(("unit", "names"), [("update", [{"a"}, {"b"}]), ("micro-batch", [{"a", "b"}] * 2)])
def test_alternating_turns_are_of_micro_batches_or_of_updates(unit, names):
    data = mixture({"a": Listed(10, 0), "b": Streamed(10, 1)}, unit=unit, order="alternating")
    updates = train(data, 2, accumulate=2)
    assert [{batch["member"] for batch in batches} for batches in updates] == names
    assert sum(len(batch["x"]) for batch in updates[0]) == 8


def test_member_cuts_its_batches_in_its_own_way():
    data = mixture({"a": Streamed(10, 0), "b": Streamed(10, 1)}, unit="update")
    (batches,) = train(data, 1, accumulate=3)
    assert [len(batch["x"]) for batch in batches] == [6, 1, 1]
    (whole_,) = train(data, 1)[0]
    assert [len(part["x"]) for part in data.split_batch(whole_, 3)] == [6, 1, 1]
    assert {part["member"] for part in data.split_batch(whole_, 3)} == {whole_["member"]}


def test_members_that_order_their_batches_have_the_same_share_of_every_update():
    data = mixture({"a": Streamed(10, 0), "b": Listed(10, 1)}, {"a": {"weight": 3.0}})
    for batches in train(data, 4, accumulate=2):
        assert Counter(int(i) for batch in batches for i in batch["member_ids"]) == {0: 6, 1: 2}
        assert len(batches) == 2


def test_each_member_is_measured_once_in_turn_and_by_its_name():
    data = mixture({"a": Listed(5, 0, valid=5), "b": Streamed(5, 1, valid=2), "c": Gathered(5, 2, valid=0)})
    batches = list(in_order(data, "valid", 2))
    assert [batch["member"] for batch in batches] == ["a", "b", "a", "a"]
    assert sorted(int(x) for batch in batches for x in batch["x"]) == [0, 1, 2, 3, 4, 100, 101]
    assert list(data.splits()) == ["train", "valid", "valid/a", "valid/b"]
    assert [batch["x"].tolist() for batch in in_order(data, "valid/b", 2)] == [[100, 101]]
    with pytest.raises(DataError, match="no split 'valid/c'"):
        next(in_order(data, "valid/c", 2))


def test_groups_of_members_are_named_apart_where_they_differ():
    ids = {"fields": {"kind": "int64[batch]"}}

    class Kinds(Listed):
        def make(self, rows):
            return {**super().make(rows), "kind": torch.as_tensor(np.asarray(rows)) % 3 - 1}

    told = [{"group_names": {"kind": names}} for names in (["red", "blue"], ["big", "blue"])]
    data = mixture({"a": Kinds(6, 0, told=told[0], **ids), "b": Kinds(6, 1, told=told[1], **ids)})
    names = data.facts()["group_names"]
    assert names == {"member_ids": ["a", "b"], "kind": ["a/red", "a/blue", "b/big", "b/blue"]}
    (batch,) = train(data, 1)[0]
    for x, kind in zip(batch["x"].tolist(), batch["kind"].tolist(), strict=True):
        own = x % 100 % 3 - 1
        assert kind == (-1 if own < 0 else own + 2 * (x // 100))
    same = mixture({"a": Kinds(6, 0, told=told[0], **ids), "b": Kinds(6, 1, told=told[0], **ids)})
    assert same.facts()["group_names"]["kind"] == ["red", "blue"]


def test_examples_of_all_members_are_collated_by_their_own():
    data = mixture({"a": Drawn(3, 0), "b": Listed(4, 1)})
    examples = data.examples("train")
    assert len(examples) == 7
    batch = data.collate([data.example("train", 6, 5), data.example("train", 1, 5)])
    assert batch["x"].tolist() == [5001, 103]
    assert batch["member_ids"].tolist() == [0, 1]


def test_member_stopped_while_it_makes_its_data_leaves_an_update_that_was_not_begun():
    class Made(Streamed):
        stops = False

        def follow(self, model):
            pass

        def make(self, rows):
            if self.stops:
                raise OmnitrainError("stopped")
            return super().make(rows)

    def data():
        return mixture({"a": Streamed(50, 0), "b": Made(50, 1)})

    expected = train(data(), 4)
    stopped = data()
    feed = make_feed(stopped, "train", PLAN)
    equal(take(feed, 2), expected[:2])
    stopped.members[1].data.stops = True
    with pytest.raises(OmnitrainError, match="stopped"):
        feed.next()
    resumed = make_feed(data(), "train", PLAN)
    resumed.load_state_dict(feed.state_dict())
    equal(take(resumed, 2), expected[2:])


# What is refused


class Other(Listed):
    def __init__(self, **fields):
        super().__init__(4, 1)
        self.batch = {name: spec for name, spec in {**self.batch, **fields}.items() if spec}


@pytest.mark.parametrize(
    ("members", "settings_", "said"),
    [
        ({"b": Other(x=None)}, {}, r"members\.b \(toy/b\) and members\.a \(toy/a\) differ: .* no field 'x'.* drop: \[x\]"),
        ({"b": Other(y="bool[batch]")}, {}, r"members\.a .* members\.b .* no field 'y' \(bool\[batch\]\); keep: \[y\]"),
        ({"b": Other(x="float32[batch]")}, {}, r"field 'x' is float32\[batch\], of the second it is int64\[batch\]"),
        ({"b": Other(input_ids="int64[length, batch]")}, {}, r"field 'input_ids' is int64\[length, batch\] of the first"),
        ({"b": Other()}, {"drop": ["z"]}, r"no member carries a field 'z'"),
        ({"b": Other()}, {"group": "x"}, r"carry a field 'x' already; give `group` another name"),
    ],
)
def test_members_that_do_not_fit_are_refused_with_the_field(members, settings_, said):
    with pytest.raises(UsageError, match=said):
        mixture({"a": Listed(4), **members}, **settings_)


def test_field_that_not_all_carry_is_left_out_where_that_is_asked_for():
    class More(Listed):
        def make(self, rows):
            return {**super().make(rows), "y": torch.zeros(len(rows), dtype=torch.bool)}

    data = mixture({"a": Listed(4), "b": More(4, 1, fields={"y": "bool[batch]"})}, drop=["y"])
    assert "y" not in data.batch
    assert "y" not in train(data, 1)[0][0]


def test_field_that_some_carry_stays_in_their_batches_and_is_optional():
    class Masked(Streamed):
        def make(self, rows):
            return {**super().make(rows), "mask": torch.ones(len(rows), dtype=torch.bool)}

    members = {"a": Listed(4), "b": Masked(4, 1, fields={"mask": "bool[batch]"})}
    with pytest.raises(
        UsageError, match=r"keep: \[mask\] leaves it in .* drop: \[mask\] leaves it out .* mean the same without"
    ):
        mixture(members, unit="update")
    data = mixture(members, unit="update", keep=["mask"], order="alternating")
    assert data.batch["mask"] == "bool[batch]?"
    assert ["mask" in batch for batches in train(data, 2) for batch in batches] == [False, True]
    assert misfits(data.batch, {"mask": "bool[batch]?"}) == []
    assert misfits(data.batch, {"mask": "bool[batch]"}) == [
        "field 'mask' (bool[batch]?) is in some batches only, needed is bool[batch]"
    ]


@pytest.mark.parametrize(
    ("b", "of", "settings_", "error", "said"),
    [
        (Listed(0), {}, {}, DataError, r"members\.b: toy/b has no examples in the split 'train'; take the member out"),
        (Streamed(9), {}, {"alpha": 1.0}, UsageError, r"can't tell its size, which alpha 1 asks for; set the member's size"),
        (Streamed(9), {"cap": 2}, {}, DataError, r"members\.b\.cap: toy/b has only an order of its own, in which"),
        (Streamed(9), {"weight": 0.01}, {}, UsageError, r"members\.b: its share .* is less than one of the 8 examples"),
        (Listed(9), {"weight": 1e-9}, {}, UsageError, r"members\.b: its share of 1e-09 is less than one turn in 1,048,576"),
        (Listed(9, told={"pad_id": 1}), {}, {}, UsageError, r"pad_id is 9 of the first and 1 of the second; .* facts_of"),
    ],
)
def test_member_without_examples_size_or_share_is_refused_before_training(b, of, settings_, error, said, tmp_path):
    data = mixture({"a": Listed(9), "b": b}, {"b": of}, **settings_)

    def begin():
        data.prepare(tmp_path, None)
        data.feed("train", PLAN, 1, 0)

    with pytest.raises(error, match=said):
        begin()


def test_member_without_the_split_that_is_trained_on_is_refused(tmp_path):
    class Test(Listed):
        def splits(self):
            return ["test"]

    with pytest.raises(DataError, match=r"members\.b: toy/b has no split 'train', only test; all members"):
        mixture({"a": Listed(4), "b": Test(4)}).prepare(tmp_path, None)


def test_member_that_ends_is_named():
    feed = make_feed(mixture({"a": Listed(4), "b": Streamed(4, ends=2)}), "train", PLAN)
    take(feed, 2)
    with pytest.raises(DataError, match=r"members\.b: toy/b ended after its turn 2; .* let it repeat or lower fit\.steps"):
        feed.next()


def test_micro_batches_of_different_sizes_are_refused():
    with pytest.raises(UsageError, match=r"8 examples of an update on a process are no multiple of fit\.accumulate 3"):
        make_feed(mixture({"a": Listed(4)}, unit="micro-batch"), "train", PLAN, 3)


def test_batches_without_rows_are_mixed_by_update_only():
    class Graphs(Listed):
        def __init__(self, mark):
            super().__init__(4, mark)
            self.batch = {"edges": "int64[2, edges]"}

        def make(self, rows):
            return {"edges": torch.full((2, len(rows)), self.mark)}

    members = {"a": Graphs(0), "b": Graphs(1)}
    with pytest.raises(UsageError, match=r"'edges' \(int64\[2, edges\]\) has no dimension named 'batch'.*unit: update"):
        mixture(members)
    data = mixture(members, unit="update", order="alternating")
    assert list(data.batch) == ["edges"]
    assert [batch["member"] for batches in train(data, 3) for batch in batches] == ["a", "b", "a"]


def test_sizes_that_are_no_lengths_are_refused_where_they_differ():
    class Wide(Listed):
        def make(self, rows):
            return {**super().make(rows), "image": torch.zeros(len(rows), 2 + self.mark)}

    field = {"fields": {"image": "float32[batch, width]"}}
    data = mixture({"a": Wide(4, 0, **field), "b": Wide(4, 1, **field)})
    with pytest.raises(DataError, match=r"The dimension 'width' of the field 'image' has different sizes"):
        train(data, 1)


def test_positions_are_those_of_the_longest_and_their_setting_is_named():
    told = [{"positions": n, "positions_setting": "length"} for n in (8, 32)]
    facts = mixture({"a": Listed(4, told=told[0]), "b": Listed(4, told=told[1])}).facts()
    assert facts["positions"] == 32
    assert facts["positions_setting"] == "members.b.data.length"
    chosen = mixture({"a": Listed(4, told={"eos_id": 1}), "b": Listed(4, told={"eos_id": 2})}, facts_of="b").facts()
    assert chosen["eos_id"] == 2


def test_different_files_for_a_model_are_refused(tmp_path):
    class Saved(Listed):
        def save_assets(self, directory):
            (directory / "words.txt").write_text(f"words {self.mark}")

    with pytest.raises(UsageError, match=r"members\.a and members\.b bring different files words\.txt for a model"):
        mixture({"a": Saved(4, 0), "b": Saved(4, 1)}).save_assets(tmp_path)
    mixture({"a": Saved(4, 0), "b": Saved(4, 1), "c": Listed(4)}, facts_of="b").save_assets(tmp_path)
    assert (tmp_path / "words.txt").read_text() == "words 1"
    assert not any(hasattr(mixture({"a": Listed(4)}), ability) for ability in ("save_assets", "follow", "example"))


def test_order_of_writing_makes_no_difference():
    one = mixture({"a": Listed(5, 0), "b": Listed(6, 1)})
    other = mixture({"b": Listed(6, 1), "a": Listed(5, 0)})
    equal(train(one, 3), train(other, 3))
    assert one.fingerprint == other.fingerprint
    assert mixture({"a": Listed(5, 0), "b": Listed(6, 1)}, {"a": {"weight": 2.0}}).fingerprint != one.fingerprint


def test_order_is_told_before_training():
    data = mixture({"a": Listed(10, 0), "b": Streamed(10, 1, valid=0)}, {"a": {"weight": 3.0}})
    assert data.order("train", PLAN, 10) == {
        "a": "75.0% of the examples, 10 examples, 6 passes in 10 updates",
        "b": "25.0% of the examples, no split valid",
    }
    assert data.order("valid/a", PLAN, 10) == {}
    assert data.order("train", replace(PLAN, batch_size=5), 10)["a"].startswith("80.0%")


def test_losses_are_told_by_member(train):
    members = {
        "near": {"data": {"use": "toy/rows"}},
        "far": {"data": {"use": "toy/rows", "form": "stream", "rows": 40}, "weight": 3},
    }
    rows = {"use": "core/mixture", "members": members, "unit": "update"}
    fit = {"log_every": 8, "early_stop": {"metric": "valid/loss/far", "patience": 9}, "steps": 8}
    outcome = train("run", rows=rows, evaluators=[], fit=fit)
    assert outcome.code == 0, outcome.error
    lines = [json.loads(line) for line in (outcome.out / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        assert {"loss", "loss/near", "loss/far"} <= line.keys()
        assert min(line["loss/near"], line["loss/far"]) <= line["loss"] <= max(line["loss/near"], line["loss/far"])
    wrong = {**fit, "early_stop": {"metric": "valid/loss/fra", "patience": 9}}
    refused = train("wrong", rows=rows, evaluators=[], fit=wrong)
    assert refused.code == 2
    assert "measured are valid/loss, valid/loss/far, valid/loss/near, valid/plain" in refused.error["text"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weight": 0}, "members.a.weight: expected a weight above 0; take the member out of `members`"),
        ({"weight": -1.5}, "expected a weight above 0"),
        ({"cap": 0}, "members.a.cap: expected greater than or equal to 1"),
        ({"data": {"use": "toy/rows", "rows": 0}}, "members.a: toy/rows has no examples in the split 'train'"),
        ({"cap": 2, "size": 3}, "cap limits examples that can be counted, size stands for those that can't"),
    ],
)
def test_settings_of_a_member_that_mean_nothing_are_one_sentence(train, change, said):
    rows = {"use": "core/mixture", "members": {"a": {"data": {"use": "toy/rows"}, **change}}}
    outcome = train("run", rows=rows)
    assert outcome.code == (4 if "no examples" in said else 2)
    assert said in outcome.error["text"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"members": {}}, "members: expected at least one"),
        ({"members": {"a b": {"data": "toy/rows"}}}, "the member 'a b' needs a name"),
        ({"group": "Of member"}, "group 'Of member' is no name of a field"),
        ({"facts_of": "c"}, "facts_of 'c' is no member; there are a"),
        ({"drop": ["x"], "keep": ["x"]}, "'x' is in both drop and keep"),
        ({"keep": ["x"]}, "keep needs batches of one member each: set unit: update"),
    ],
)
def test_settings_that_mean_nothing_are_refused(change, said):
    with pytest.raises(ValidationError, match=re.escape(said)):
        MixtureConfig.model_validate({"members": {"a": {"data": "toy/rows"}}, **change})
