"""The loss log reads numbers late, and counts bad steps in a row however late it hears of them."""

import pytest
import torch

from omnitrain.api import Loss
from omnitrain.errors import NumericalError
from omnitrain_lae.stages.losslog import LossLog


class Run:
    def __init__(self):
        self.lines, self.events = [], []

    def log(self, total, values):
        self.lines.append((total, values))

    def event(self, name, **fields):
        self.events.append((name, fields))


def loss(value, weight=2.0):
    return Loss(torch.tensor(value * weight), weight, {})


def test_a_line_is_the_mean_over_examples_since_the_last_one():
    run = Run()
    log = LossLog(run, every=2, allowed=0)
    for step, (value, weight) in enumerate([(1.0, 3.0), (5.0, 1.0), (7.0, 2.0)], 1):
        log.add(loss(value, weight), True, step, 1)
    log.write(3, 1, last=True)
    assert run.lines == [(2, {"loss": 2.0, "task": 1}), (3, {"loss": 7.0, "task": 1})]


@pytest.mark.parametrize("known", [True, False], ids=["on the processor", "on a device"])
def test_bad_steps_with_a_good_one_between_are_not_in_a_row(known):
    run = Run()
    log = LossLog(run, every=100, allowed=2)
    outcomes = [False, False, True, False, False]
    for step, good in enumerate(outcomes, 1):
        log.add(loss(1.0 if good else float("nan")), good if known else torch.tensor(good), step, 1)
    log.write(5, 1, last=True)
    assert run.lines == [(5, {"loss": 1.0, "task": 1})]
    assert [fields["step"] for _, fields in run.events] == [1, 2, 4, 5]
    with pytest.raises(NumericalError, match="3 steps in a row, up to step 6 in task 1"):
        log.add(loss(float("nan")), False, 6, 1)


def test_a_state_carries_sum_and_bad_steps_over():
    run = Run()
    log = LossLog(run, every=100, allowed=1)
    log.add(loss(3.0), True, 1, 1)
    log.add(loss(float("nan")), torch.tensor(False), 2, 1)
    log.settle()
    other = LossLog(run, every=100, allowed=1)
    other.load_state_dict(log.state_dict())
    with pytest.raises(NumericalError):
        other.add(loss(float("inf")), False, 3, 1)
    other.write(3, 1, last=True)
    assert run.lines == [(3, {"loss": 3.0, "task": 1})]
