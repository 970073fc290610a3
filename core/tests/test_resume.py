"""A run that was killed and started again ends with the same bits as one that was never interrupted."""

import random

import pytest
from children import Fault, digests

MIXTURE = {
    "use": "core/mixture",
    "members": {
        "drawn": {"data": {"use": "toy/rows", "noise": "drawn", "rows": 30}, "weight": 2.5},
        "noisy": {"data": {"use": "toy/rows", "noise": "global", "rows": 7}},
    },
}
WITH_STREAM = {
    "use": "core/mixture",
    "members": {
        "drawn": {"data": {"use": "toy/rows", "noise": "drawn", "rows": 30}},
        "ordered": {"data": {"use": "toy/rows", "form": "stream"}},
    },
}
MIXED = {"evaluators": []}

# Between them every data form, number of workers, accumulation, noise and kind of state occurs, each with several kills:
# in the first step, inside a group of micro-batches, at the edge of an epoch (update 7), in the middle of an interval,
# inside the validation loss and inside an evaluator.
CASES = {
    "map": ({"rows": {}}, [("forward", 1), ("forward", 8), ("evaluator", 2)]),
    "map, global noise, workers": ({"rows": {"noise": "global"}, "fit": {"workers": 2}}, [("forward", 7), ("validation", 3)]),
    "map, carried, workers, accumulated": (
        {"rows": {"noise": "global"}, "square": {"carried": True}, "fit": {"workers": 2, "accumulate": 3}},
        [("forward", 23), ("forward", 17)],
    ),
    "drawn, average, accumulated": (
        {"rows": {"noise": "drawn"}, "fit": {"accumulate": 3, "ema_decay": 0.9}},
        [("forward", 20), ("forward", 14)],
    ),
    "drawn, auxiliary loss, workers": (
        {"rows": {"noise": "drawn"}, "square": {"decay": 0.1}, "fit": {"workers": 2, "accumulate": 3}},
        [("validation", 6), ("forward", 29)],
    ),
    "iterable, global noise": ({"rows": {"form": "iterable", "noise": "global"}}, [("forward", 10), ("forward", 8)]),
    "iterable, carried, accumulated": (
        {"rows": {"form": "iterable"}, "square": {"carried": True}, "fit": {"accumulate": 3}},
        [("forward", 32), ("evaluator", 1)],
    ),
    "stream": ({"rows": {"form": "stream"}}, [("forward", 15), ("forward", 3)]),
    "stream, average, accumulated": (
        {"rows": {"form": "stream"}, "square": {"decay": 0.1}, "fit": {"accumulate": 3, "ema_decay": 0.9}},
        [("forward", 25), ("forward", 25)],
    ),
    "gather, carried": ({"rows": {"form": "gather"}, "square": {"carried": True}}, [("forward", 7), ("forward", 12)]),
    "gather, workers, momentum, schedule": (
        {
            "rows": {"form": "gather"},
            "fit": {
                "workers": 2,
                "optimiser": {"name": "sgd", "momentum": 0.9, "weight_decay": 0.01},
                "schedule": {"name": "cosine", "warmup_steps": 3, "final_fraction": 0.1},
            },
        },
        [("forward", 14)],
    ),
    "mixture by example, drawn and global noise, workers": (
        {**MIXED, "rows": {**MIXTURE, "alpha": 0.5}, "fit": {"workers": 2, "accumulate": 3}},
        [("forward", 23), ("validation", 3)],
    ),
    "mixture by update, stream": (
        {**MIXED, "rows": {**WITH_STREAM, "unit": "update"}, "fit": {"accumulate": 2}},
        [("forward", 9), ("forward", 11)],
    ),
    "mixture by example, stream, carried": (
        {**MIXED, "rows": WITH_STREAM, "square": {"carried": True}, "fit": {"accumulate": 2}},
        [("forward", 23), ("forward", 17)],
    ),
    "rounds, workers, accumulated": (
        {"rows": {"form": "rounds"}, "square": {"carried": True}, "fit": {"workers": 2, "accumulate": 3}},
        [("part", 2), ("forward", 20), ("part", 1), ("forward", 17)],
    ),
    "skipped updates, early stop": (
        {"rows": {"nan_at": [3, 20]}, "fit": {"early_stop": {"patience": 4}, "evaluate_every": 2}},
        [("forward", 9), ("validation", 5)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_killed_run_equals_uninterrupted_run(name, train):
    settings, kills = CASES[name]
    whole = train("whole", **settings)
    assert whole.code == 0, whole.error
    step_of_forward = [len(ids) for _, ids in whole.seen]
    assert step_of_forward
    for point, at in kills:
        killed = train("run", Fault("kill", point, at), **settings)
        assert killed.code == -9, killed.error
        _check_seen(killed, whole)
    resumed = train("run", **settings)
    assert resumed.code == 0, resumed.error
    _check_seen(resumed, whole)
    assert digests(resumed.out) == digests(whole.out)


def _check_seen(part, whole):
    """What a run was trained on is a stretch of what the uninterrupted run was trained on, from the resumed step on."""
    rows = whole.counts["forward"] / 20
    # Epochs of an iterable repeat, so that a short stretch can stand in several places.
    starts = [i for i in range(len(whole.seen)) if whole.seen[i : i + len(part.seen)] == part.seen]
    assert any(start >= part.resumed_at() * rows - 6 for start in starts)
    if part.resumed_at() == 0:
        assert 0 in starts


def test_killed_at_random_times_the_run_ends_with_the_same_bits(train):
    settings = {"rows": {"noise": "global"}, "square": {"carried": True}, "fit": {"accumulate": 2}, "measure": True}
    whole = train("whole", **settings)
    generator = random.Random(0)
    kills = 0
    for _ in range(8):
        outcome = train("run", Fault("kill", "file", generator.randrange(60, whole.counts["file"])), **settings)
        kills += outcome.code == -9
        if outcome.code == 0:
            break
    assert kills > 0
    assert train("run", **settings).code == 0
    assert digests(train("run", **settings).out) == digests(whole.out)


def test_each_example_is_seen_once_per_epoch_across_interruptions(train):
    settings = {"fit": {"steps": 14, "checkpoint_every": 3}, "rows": {"noise": "global"}}
    ids = []
    for kill in (5, 6, 4):
        killed = train("run", Fault("kill", "forward", kill), **settings)
        ids = [*ids[: killed.resumed_at()], *(rows for _, rows in killed.seen)]
    last = train("run", **settings)
    assert last.code == 0
    ids = [*ids[: last.resumed_at()], *(rows for _, rows in last.seen)]
    assert len(ids) == 14
    for epoch in (ids[:7], ids[7:]):
        assert sorted(i for rows in epoch for i in rows) == list(range(50))
    assert ids[:7] != ids[7:]


def test_finished_stages_are_not_run_again(train):
    first = train("run", measure=True)
    assert first.code == 0, first.error
    before = _contents(first.out)
    second = train("run", measure=True)
    assert second.code == 0
    assert second.seen == []
    assert "evaluator" not in second.counts
    assert _contents(first.out) == before


def test_kill_while_the_model_is_saved_loses_nothing(train):
    whole = train("whole")
    last = whole.counts["file"]
    for back in (2, 6, 12, 18):
        out = f"run-{back}"
        assert train(out, Fault("kill", "file", last - back)).code == -9
        resumed = train(out)
        assert resumed.code == 0, resumed.error
        assert digests(resumed.out) == digests(whole.out)
        assert not list(resumed.out.rglob(".tmp-*"))


@pytest.mark.parametrize("change", [{"evaluate_every": 3}, {"log_every": 1}, {"checkpoint_every": 1}, {"evaluate_batches": 0}])
def test_measuring_logging_and_saving_never_change_training(change, train):
    settings = {"rows": {"noise": "global"}, "fit": {"steps": 10}}
    one = train("one", **settings)
    other = train("other", **{**settings, "fit": {"steps": 10, **change}})
    assert one.code == other.code == 0
    assert one.seen == other.seen
    model = "train/model/model.safetensors"
    assert digests(one.out)[model] == digests(other.out)[model]


def test_equal_runs_are_equal_and_another_seed_differs(train):
    one, two, other = train("one"), train("two"), train("other", seed=1)
    assert digests(one.out) == digests(two.out)
    model = "train/model/model.safetensors"
    assert digests(one.out)[model] != digests(other.out)[model]
    assert one.seen != other.seen


def _contents(out):
    return {p: p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != ".lock"}
