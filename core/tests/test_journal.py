"""A loop of a stage's own, stopped anywhere, goes on with the bits and lines of one that was not."""

import threading

import numpy as np
import pytest
import torch

from omnitrain.engine import Journal, Streams, scratch_run, seed_everything
from omnitrain.errors import Stopped

STEPS = 9


class Walk:
    """A loop whose state is a tensor, a named generator and the global ones."""

    def __init__(self, run):
        seed_everything(run.seed("training"))
        self.run, self.streams, self.place = run, Streams(run.seed), torch.zeros(2)

    def collect(self):
        return {"place": self.place, "streams": self.streams.state_dict()}

    def restore(self, state):
        self.place = state["place"]
        self.streams.load_state_dict(state["streams"])

    def step(self):
        self.place = self.place + torch.rand(2) * float(self.streams["length"].random()) + np.random.random()
        return {"x": float(self.place[0])}


def play(run, every=0, before=lambda step: None):
    walk = Walk(run)
    journal = Journal(run, walk.collect, walk.restore, every)
    for step in range(journal.resume() + 1, STEPS + 1):
        run.log(step, walk.step())
        before(step)
        journal.after(step, STEPS)
    return walk.place.tolist()


@pytest.fixture
def whole():
    with scratch_run() as run:
        return play(run), run.lines()


@pytest.mark.parametrize("every", [0, 1, 4])
@pytest.mark.parametrize("asked", [1, 4, 8])
def test_loop_that_was_asked_to_stop_goes_on_exactly(whole, asked, every):
    with scratch_run() as run:
        stop = run._stop
        with pytest.raises(Stopped):
            play(run, every, lambda step: run.ask_to_stop() if step == asked else None)
        assert len(run.lines()) == asked
        stop._reason = None
        assert play(run, every) == whole[0]
        assert run.lines() == whole[1]
        assert [event["step"] for event in run.events("resumed")] == [asked]


def test_loop_that_was_killed_repeats_what_no_checkpoint_held_and_logs_it_once(whole):
    class Killed(BaseException):
        pass

    def kill(step):
        if step == 7:
            for thread in threading.enumerate():  # what is being written of step 6 is whole before the end
                if thread.name == "checkpoint":
                    thread.join()
            raise Killed

    with scratch_run() as run:
        with pytest.raises(Killed):
            play(run, 3, kill)
        assert len(run.lines()) == 7
        assert play(run, 3) == whole[0]
        assert run.lines() == whole[1]
        assert [event["step"] for event in run.events("resumed")] == [6]


def test_request_at_the_last_step_lets_the_loop_end(whole):
    with scratch_run() as run:
        assert play(run, 0, lambda step: run.ask_to_stop() if step == STEPS else None) == whole[0]


def test_lines_of_a_part_and_of_its_stage_are_cut_each_for_itself():
    with scratch_run() as run:
        run.log(1, {"x": 1.0})
        play(run.part("walk"))
        assert len(run.lines(run.name)) == 1
        assert len(run.lines(f"{run.name}/walk")) == STEPS
        run.rewind(0, 0)
        assert run.lines(run.name) == []
        assert len(run.lines(f"{run.name}/walk")) == STEPS


def test_checkpoint_that_was_waited_for_is_taken_by_the_next_run_of_the_stage():
    with scratch_run() as run:
        saved = Walk(run)
        saved.step()
        journal = Journal(run, saved.collect, saved.restore)
        journal.save(1)
        journal.wait()
        other = Walk(run)
        assert Journal(run, other.collect, other.restore).resume() == 1
        assert torch.equal(other.place, saved.place)
