"""Cutting an update into micro-batches changes memory, not the result; the learning rate is a formula of the step."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from children import Fault
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from omnitrain.engine.optimisers import make_schedule
from omnitrain.engine.settings import ScheduleConfig

SGD = {"optimiser": {"name": "sgd"}, "steps": 14, "clip_norm": None, "log_every": 1, "learning_rate": 0.05}


def weights(outcome):
    return load_file(outcome.out / "train/model/model.safetensors")


def log(outcome):
    rows = map(json.loads, (outcome.out / "metrics.jsonl").read_text().splitlines())
    return [row for row in rows if row["split"] == "train"]


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("form", ["map", "stream"])
def test_micro_batches_equal_one_batch(train, form, decay):
    """Weights of rows are unequal, and the last update of an epoch holds 2 of 8 rows."""
    settings = {"rows": {"form": form}, "net": {"dropout": 0.0}, "square": {"decay": decay}}
    whole = train("1", fit=SGD, **settings)
    assert whole.code == 0, whole.error
    for accumulate in (2, 3, 8):
        cut = train(str(accumulate), fit={**SGD, "accumulate": accumulate}, **settings)
        assert cut.code == 0, cut.error
        for name, tensor in weights(whole).items():
            assert np.abs(tensor - weights(cut)[name]).max() < 1e-6
        for row, twin in zip(log(whole), log(cut), strict=True):
            for key in row.keys() - {"stage", "split"}:
                assert row[key] == pytest.approx(twin[key], rel=2e-5), key


def test_update_is_the_gradient_of_the_weighted_mean(train):
    settings = {"rows": {"rows": 8}, "net": {"dropout": 0.0, "width": 2}}
    fit = {"optimiser": {"name": "sgd"}, "clip_norm": None, "accumulate": 3, "learning_rate": 1.0}
    before = weights(train("before", fit={**fit, "steps": 0}, **settings))
    after = weights(train("after", fit={**fit, "steps": 1}, **settings))
    generator = np.random.default_rng(0)
    x = generator.normal(size=(16, 4)).astype(np.float32)
    y, weight = (x.sum(1) + 0.5)[:8].astype(float), generator.integers(1, 4, 16)[:8]

    def loss(state):
        hidden = np.tanh(x[:8] @ state["0.weight"].T + state["0.bias"])
        error = (hidden @ state["3.weight"].T + state["3.bias"])[:, 0] - y
        return (error**2 * weight).sum() / weight.sum()

    for name in before:
        for place in np.ndindex(before[name].shape):
            shifted = []
            for change in (1e-5, -1e-5):
                state = {k: v.astype(float) for k, v in before.items()}
                state[name][place] += change
                shifted.append(loss(state))
            slope = (shifted[0] - shifted[1]) / 2e-5
            assert before[name][place] - after[name][place] == pytest.approx(slope, abs=1e-4)


def test_auxiliary_weight_that_is_not_told_is_refused_with_micro_batches(train):
    outcome = train("run", square={"decay": 0.1, "tells_weights": False}, fit={"accumulate": 2})
    assert outcome.code == 2
    assert "method `weights`" in outcome.error["text"]
    assert train("whole", square={"decay": 0.1, "tells_weights": False}).code == 0


FORMULAS = {
    "constant": lambda t, n, w: min(t / w, 1),
    "linear": lambda t, n, w: min(t / w, 1) * (1 - 0.9 * min(max(t - 1 - w, 0) / (n - w), 1)),
    "cosine": lambda t, n, w: min(t / w, 1) * (0.1 + 0.45 * (1 + math.cos(math.pi * min(max(t - 1 - w, 0) / (n - w), 1)))),
    "inverse-sqrt": lambda t, n, w: math.sqrt(w / max(t, w)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_learning_rate_is_the_formula_at_every_step_also_after_resuming(name, train):
    schedule = {"name": name, "warmup_steps": 4, "final_fraction": 0.1}
    fit = {"log_every": 1, "schedule": schedule, "accumulate": 2, "learning_rate": 0.01}
    assert train("run", Fault("kill", "forward", 21), fit=fit).code == -9
    outcome = train("run", fit=fit)
    assert outcome.code == 0
    assert outcome.resumed_at() > 0
    rates = [row["learning_rate"] for row in log(outcome)]
    assert rates == pytest.approx([0.01 * FORMULAS[name](t, 20, 4) for t in range(1, 21)], rel=1e-12)


@given(
    name=st.sampled_from(list(FORMULAS)),
    steps=st.integers(1, 300),
    warmup=st.integers(0, 400),
    final=st.floats(0, 1),
    rate=st.floats(1e-8, 10),
)
def test_learning_rate_stays_between_zero_and_its_peak(name, steps, warmup, final, rate):
    schedule = make_schedule(ScheduleConfig(name=name, warmup_steps=warmup, final_fraction=final), rate, steps)
    values = [schedule(t) for t in range(1, steps + 1)]
    assert all(0 <= value <= rate * (1 + 1e-12) for value in values)
    falling = values[warmup:]
    assert all(a >= b for a, b in pairwise(falling))


def test_another_plan_is_refused_on_resume_unless_forced(train):
    assert train("run", Fault("term", "forward", 9)).code == 75
    longer = train("run", fit={"steps": 30})
    assert longer.code == 2
    assert "train.fit.steps: 20 -> 30" in longer.error["text"]
    assert "--force" in longer.error["text"]
    assert longer.seen == []
    forced = train("run", fit={"steps": 30}, job={"force": True})
    assert forced.code == 0
    assert forced.resumed_at() == 0
    assert len(forced.seen) == 30
