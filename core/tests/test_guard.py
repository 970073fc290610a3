"""The guard counts updates that are not finite, in this process and on the device."""

import pytest
import torch

from omnitrain.engine import Guard
from omnitrain.errors import NumericalError


class Events:
    def __init__(self):
        self.seen = []

    def event(self, name, **details):
        self.seen.append((name, details["step"], details["examples"]))


def noted_and_read(guard, step, applied):
    guard.note(step, applied)
    guard.read()


def device(flag):
    return torch.tensor(flag)


@pytest.mark.parametrize("flag", [bool, device])
def test_only_bad_updates_in_a_row_end_training(flag):
    run = Events()
    guard = Guard(run, allowed=2)
    for step, good in enumerate((False, False, True, False, False), 1):
        guard.note(step, flag(good), [step, step + 1])
    guard.read()
    assert guard.in_a_row == 2
    assert run.seen == [("skipped update", step, [step, step + 1]) for step in (1, 2, 4, 5)]
    with pytest.raises(NumericalError, match="3 updates in a row, up to step 6, had a NaN"):
        noted_and_read(guard, 6, flag(False))
    assert NumericalError("").exit_code == 7


def test_device_is_read_only_when_asked_and_says_how_many_were_bad():
    run = Events()
    guard = Guard(run, allowed=9)
    for step, good in enumerate((True, False, False), 1):
        guard.note(step, device(good))
    assert run.seen == []
    assert guard.read() == 2
    assert guard.read() == 0
    assert [step for _, step, _ in run.seen] == [2, 3]


def test_count_goes_on_after_a_checkpoint():
    guard = Guard(Events(), allowed=1)
    guard.note(1, False)
    later = Guard(Events(), allowed=1, last_checkpoint=lambda step: step - 1)
    later.load_state_dict(guard.state_dict())
    with pytest.raises(NumericalError, match=r"The last checkpoint is of step 1\. events\.jsonl names the examples"):
        later.note(2, False)


def test_no_more_examples_are_named_than_anybody_reads():
    run = Events()
    Guard(run, allowed=1).note(1, False, range(1000))
    assert run.seen[0][2] == list(range(64))
