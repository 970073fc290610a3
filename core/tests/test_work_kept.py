"""What was trained is kept when something behind the training fails, and a repeated command goes straight to it."""

import json
import math

import pytest
import torch
from children import Fault, digests

from omnitrain.engine.losses import LossCheck
from omnitrain.errors import PluginError
from omnitrain.runs.measured import checked

STEPS = 20


def lines(outcome):
    path = outcome.out / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("every", [0, 4])
@pytest.mark.parametrize(
    "fault", [("evaluator", 4), ("validation", 4), ("model", 1), ("evaluator", 2)], ids=lambda fault: f"{fault[0]}-{fault[1]}"
)
def test_fault_behind_an_update_costs_no_update(train, fault, every):
    settings = {"rows": {"noise": "global"}, "fit": {"checkpoint_every": every, "ema_decay": 0.9}}
    whole = train("whole", **settings)
    failed = train("run", Fault("fail", *fault), **settings)
    assert failed.code == 1
    assert failed.error["text"] == "injected"
    resumed = train("run", **settings)
    assert resumed.code == 0, resumed.error
    assert resumed.resumed_at() == len(failed.seen)
    assert failed.seen + resumed.seen == whole.seen
    assert digests(resumed.out, checkpoints=False) == digests(whole.out, checkpoints=False)


def test_kill_in_the_last_evaluation_costs_no_update(train):
    settings = {"fit": {"checkpoint_every": 0}}
    whole = train("whole", **settings)
    assert train("run", Fault("kill", "evaluator", 4), **settings).code == -9
    resumed = train("run", **settings)
    assert (resumed.code, resumed.resumed_at(), resumed.seen) == (0, STEPS, [])
    assert digests(resumed.out, checkpoints=False) == digests(whole.out, checkpoints=False)


def test_training_that_ended_early_is_kept(train):
    settings = {"fit": {"checkpoint_every": 0, "learning_rate": 1e-9, "early_stop": {"patience": 1}, "evaluate_every": 2}}
    failed = train("run", Fault("fail", "model", 1), **settings)
    resumed = train("run", **settings)
    assert (failed.code, resumed.code, resumed.seen) == (1, 0, [])
    assert len(resumed.events("early stop")) == 1


def test_fault_of_an_update_leaves_the_checkpoint_before_it(train):
    failed = train("run", Fault("fail", "forward", 7))
    assert failed.code == 1
    assert train("run").resumed_at() == 4


@pytest.mark.parametrize(
    ("odd", "value"),
    [
        ("np.float32(1.5)", 1.5),
        ("np.int64(3)", 3),
        ("np.bool_(True)", 1),
        ("torch.tensor(2.5)", 2.5),
        ("torch.tensor(7)", 7),
        ("True", 1),
        ("Decimal('0.25')", 0.25),
        ("Metric(np.float32(0.5), np.int64(4), 'lower', (np.float32(0.25), torch.tensor(1.0)))", 0.5),
    ],
)
def test_numbers_of_any_library_are_stored_as_plain_ones(train, odd, value):
    outcome = train("run", fit={"steps": 2}, evaluators=[{"use": "toy/error", "odd": odd}])
    assert outcome.code == 0, outcome.error
    [found] = [row["odd"] for row in lines(outcome) if "odd" in row]
    assert (found, type(found)) == (value, type(value))
    stored = json.loads((outcome.out / "train/evaluations/toy-error-00000002.json").read_text())["metrics"]["odd"]
    assert stored["value"] == value


@pytest.mark.parametrize("odd", ["1j", "np.ones(2)", "np.ones(1)", "10**400", "'1.5'", "None", "Metric(1.0, 1.5)"])
def test_metric_that_is_no_number_is_the_evaluators_fault_and_costs_no_update(train, odd):
    settings = {"fit": {"checkpoint_every": 0, "steps": 2}, "evaluators": [{"use": "toy/error", "odd": odd}]}
    outcome = train("run", **settings)
    assert outcome.code == 3, outcome.error
    assert outcome.error["text"].startswith("The evaluator toy/error gives ")
    assert "odd" in outcome.error["text"]
    assert not [row for row in lines(outcome) if row["split"] == "toy/error"]
    assert train("run", **settings).seen == []


def test_what_is_no_evaluation_is_the_evaluators_fault():
    with pytest.raises(PluginError, match=r"The evaluator mine/one returned dict .* must return omnitrain.api.Evaluation"):
        checked("mine/one", {"accuracy": 1.0})


@pytest.mark.parametrize(
    ("returns", "code", "sentence"),
    [
        ("number", 3, "The objective toy/square returned Tensor; it must return omnitrain.api.Loss"),
        ("vector", 3, "The objective toy/square returned a total of shape [8]; it must be a scalar"),
        ("detached", 3, "The objective toy/square returned a total that no gradient flows from"),
        ("weightless", 3, "The objective toy/square returned weight 0 beside a total of "),
        ("negative", 3, "The objective toy/square returned weight -"),
        ("empty", 7, "The objective toy/square gave weight 0 in each of the 20 updates so far"),
    ],
)
@pytest.mark.parametrize("device_path", [False, True])
def test_loss_that_is_none_ends_the_run_and_names_the_objective(train, returns, code, sentence, device_path):
    settings = {"square": {"returns": returns}, "fit": {"checkpoint_every": 0}, "job": {"device_path": device_path}}
    for _ in range(2):
        outcome = train("run", **settings)
        assert outcome.code == code, outcome.error
        assert outcome.error["text"].startswith(sentence)
        assert not (outcome.out / "train/model").exists()


def test_weight_that_the_device_told_too_late_leaves_no_checkpoint_behind_it(train):
    job = {"device_path": True, "device_weights": True}
    outcome = train("run", square={"returns": "weightless"}, fit={"checkpoint_every": 0}, job=job)
    assert outcome.code == 3, outcome.error
    assert outcome.error["text"].startswith("The objective toy/square returned a weight that is zero or negative beside")
    assert not list((outcome.out / "train").glob("checkpoints/step-*"))


def test_weight_that_only_the_device_knows_is_read_with_the_log():
    check = LossCheck(object(), "mine/loss")
    scales = [
        check._weight_on_device(torch.tensor(total), torch.tensor(weight))
        for total, weight in ((3.0, 2.0), (0.0, 0.0), (math.nan, 0.0))
    ]
    assert scales[0] == 0.5
    assert torch.isfinite(torch.stack(scales)).all()
    check.read()
    assert torch.isnan(check._weight_on_device(torch.tensor(1.0), torch.tensor(0.0)))
    with pytest.raises(PluginError, match="The objective mine/loss returned a weight that is zero or negative"):
        check.read()
    check.read()
