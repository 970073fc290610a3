"""The loss log reads numbers late, and counts bad steps in a row however late it hears of them."""

import pytest
import torch

from omnitrain.api import Loss
from omnitrain.engine import scratch_run
from omnitrain.errors import NumericalError
from omnitrain_lae.stages.losslog import LossLog


@pytest.fixture
def run():
    with scratch_run() as made:
        yield made


def loss(value, weight=2.0):
    return Loss(torch.tensor(value * weight), weight, {})


def lines(run):
    return [(line["step"], line["loss"], line["task"]) for line in run.lines()]


def test_a_line_is_the_mean_over_examples_since_the_last_one(run):
    log = LossLog(run, every=2, allowed=0)
    for value, weight in [(1.0, 3.0), (5.0, 1.0), (7.0, 2.0)]:
        log.add(loss(value, weight), True, 1, {})
    log.write(1)
    log.write(1)
    assert lines(run) == [(2, 2.0, 1), (3, 7.0, 1)]


@pytest.mark.parametrize("known", [True, False], ids=["on the processor", "on a device"])
def test_bad_steps_with_a_good_one_between_are_not_in_a_row(run, known):
    log = LossLog(run, every=100, allowed=2)

    def add(good):
        log.add(loss(1.0 if good else float("nan")), good if known else torch.tensor(good), 1, {})

    for good in [False, False, True, False, False]:
        add(good)
    log.write(1)
    assert lines(run) == [(5, 1.0, 1)]
    assert [event["step"] for event in run.events("skipped update")] == [1, 2, 4, 5]
    with pytest.raises(NumericalError, match="3 updates in a row, up to step 6,"):
        log.add(loss(float("nan")), False, 1, {})


def test_a_state_carries_sum_and_bad_steps_over(run):
    log = LossLog(run, every=100, allowed=1)
    log.add(loss(3.0), True, 1, {})
    log.add(loss(float("nan")), torch.tensor(False), 1, {})
    other = LossLog(run, every=100, allowed=1)
    other.load_state_dict(log.state_dict())
    with pytest.raises(NumericalError):
        other.add(loss(float("inf")), False, 1, {})
    other.write(1)
    assert lines(run) == [(3, 3.0, 1)]
