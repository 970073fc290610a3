"""A loss or gradient that is no number never reaches the weights, and never hides in the log."""

import json
import math

import numpy as np
import pytest
from safetensors.numpy import load_file

SQUARES = [{}, {"carried": True}]


def weights(outcome):
    return load_file(outcome.out / "train/model/model.safetensors")


def lines(outcome):
    return [json.loads(line) for line in (outcome.out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("square", SQUARES)
def test_bad_update_is_skipped_and_named(train, square, accumulate):
    outcome = train("run", rows={"nan_at": [7]}, square=square, fit={"log_every": 1, "accumulate": accumulate})
    assert outcome.code == 0, outcome.error
    assert all(np.isfinite(tensor).all() for tensor in weights(outcome).values())
    skipped = outcome.events("skipped update")
    assert len(skipped) == 3  # once in each of the epochs of 7 updates, the last one cut after 6
    for event in skipped:
        assert 7 in event["examples"]
        line = next(row for row in lines(outcome) if row["split"] == "train" and row["step"] == event["step"])
        assert line["skipped_updates"] == 1
        assert "loss" not in line
    others = [row for row in lines(outcome) if row["split"] == "train" and "skipped_updates" not in row]
    assert len(others) == 17
    assert all(math.isfinite(row["loss"]) and row["loss"] > 0 for row in others)


def test_mean_of_an_interval_leaves_skipped_updates_out(train):
    every = train("every", rows={"nan_at": [7]}, fit={"log_every": 1, "steps": 7})
    once = train("once", rows={"nan_at": [7]}, fit={"log_every": 7, "steps": 7})
    total, weight = 0.0, 0.0
    for row in (row for row in lines(every) if row["split"] == "train" and "loss" in row):
        amount = float(sum(_weights()[i] for i in every.seen[row["step"] - 1][1]))
        total, weight = total + row["loss"] * amount, weight + amount
    line = next(row for row in lines(once) if row["split"] == "train")
    assert line["loss"] == pytest.approx(total / weight, rel=1e-5)
    assert line["skipped_updates"] == 1


def _weights():
    """The weights of the toy's rows: 50 for training, 8 for validation."""
    generator = np.random.default_rng(0)
    generator.normal(size=(58, 4))
    return generator.integers(1, 4, 58)


def test_too_many_in_a_row_end_the_run_with_a_good_checkpoint(train):
    settings = {"rows": {"nan_at": list(range(50))}, "fit": {"skip_nonfinite": 2}}
    outcome = train("run", **settings)
    assert outcome.code == 7, outcome.error
    assert "3 updates in a row" in outcome.error["text"]
    assert len(outcome.events("skipped update")) == 3
    newest = sorted((outcome.out / "train/checkpoints").glob("step-*"))[-1]
    assert all(np.isfinite(tensor).all() for tensor in load_file(newest / "model.safetensors").values())
    assert not (outcome.out / "train/model").exists()


def test_a_training_without_a_single_good_update_does_not_finish(train):
    settings = {"rows": {"nan_at": list(range(50))}, "fit": {"steps": 2, "skip_nonfinite": 5}}
    for _ in range(2):  # what it left does not finish it the next time either
        outcome = train("run", **settings)
        assert outcome.code == 7, outcome.error
        assert "None of 2 updates was applied" in outcome.error["text"]
        assert not (outcome.out / "train/model").exists()


def test_fewer_in_a_row_do_not_add_up(train):
    outcome = train("run", rows={"nan_at": list(range(0, 50, 12))}, fit={"skip_nonfinite": 19})
    assert outcome.code == 0
    assert len(outcome.events("skipped update")) > 3


@pytest.mark.parametrize("value", [1e38, -1e38])
def test_overflow_is_treated_like_nan(train, value):
    outcome = train("run", rows={"big_at": [7], "big": value}, fit={"steps": 7})
    assert outcome.code == 0, outcome.error
    assert len(outcome.events("skipped update")) == 1
    assert all(np.isfinite(tensor).all() for tensor in weights(outcome).values())


def test_average_and_carried_state_stay_finite(train):
    outcome = train("run", rows={"nan_at": [0, 1, 2, 3]}, square={"carried": True}, fit={"ema_decay": 0.5})
    assert outcome.code == 0
    for folder in ("model", "ema"):
        stored = load_file(outcome.out / f"train/{folder}/model.safetensors")
        assert all(np.isfinite(tensor).all() for tensor in stored.values())


def test_updates_skipped_on_the_device_are_named_and_end_the_run(train):
    settings = {"rows": {"rows": 8, "nan_at": [3]}, "fit": {"skip_nonfinite": 6, "checkpoint_every": 0}}
    outcome = train("run", job={"device_path": True}, **settings)
    assert outcome.code == 7, outcome.error
    assert "7 updates in a row, up to step 7," in outcome.error["text"]
    skipped = outcome.events("skipped update")
    assert [event["step"] for event in skipped] == [1, 2, 3, 4, 5, 6, 7]
    assert all(3 in event["examples"] for event in skipped)


def test_both_paths_of_an_update_skip_the_same_and_end_alike(train):
    settings = {"rows": {"nan_at": [7]}, "fit": {"log_every": 1, "ema_decay": 0.5}}
    host, device = train("host", **settings), train("device", job={"device_path": True}, **settings)
    assert (host.code, device.code) == (0, 0)
    steps = [[event["step"] for event in outcome.events("skipped update")] for outcome in (host, device)]
    assert len(steps[0]) == 3
    assert steps[0] == steps[1]
    for name, tensor in weights(host).items():
        assert np.allclose(tensor, weights(device)[name], rtol=1e-5, atol=1e-6)
