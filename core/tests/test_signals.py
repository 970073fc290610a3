"""Asked to stop, a run saves where it stands, leaves with 75 and goes on from there."""

import os
import signal
import subprocess
import sys
import time

import pytest
from children import Fault, digests, recipe_text

from omnitrain.errors import Stopped
from omnitrain.runs.stopping import StopRequest

POINTS = {
    "first step": ("forward", 1),
    "inside an interval": ("forward", 10),
    "inside the validation loss": ("validation", 1),
    "inside an evaluator": ("evaluator", 2),
    "in the last evaluation": ("evaluator", 4),
    "while files are written": ("file", 30),
}


def test_closed_terminal_is_a_request_to_stop(train):
    stopped = train("run", Fault("hang up", "forward", 6))
    assert stopped.code == 75, stopped.error
    assert stopped.error["text"].startswith("Stopped on request")
    assert stopped.error["text"].endswith(f"; go on with 'omnitrain run {stopped.out}'.")
    resumed = train("run")
    assert resumed.code == 0, resumed.error
    assert resumed.resumed_at() > 0


def test_terminal_that_is_not_to_count_does_not(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.reason is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("action", ["term", "interrupt"])
@pytest.mark.parametrize("name", POINTS)
def test_stopped_run_is_resumed_exactly(name, action, train):
    point, at = POINTS[name]
    settings = {"rows": {"noise": "global"}, "square": {"carried": True}, "fit": {"checkpoint_every": 0}, "measure": True}
    whole = train("whole", **settings)
    stopped = train("run", Fault(action, point, at), **settings)
    assert stopped.code == 75, stopped.error
    assert stopped.error["kind"] == "Stopped"
    assert "Traceback" not in stopped.said
    resumed = train("run", **settings)
    assert resumed.code == 0, resumed.error
    assert resumed.resumed_at() == len(stopped.seen)
    assert stopped.seen + resumed.seen == whole.seen
    assert digests(resumed.out, checkpoints=False) == digests(whole.out, checkpoints=False)


def test_stop_with_workers_is_resumed_exactly(train):
    settings = {"rows": {"noise": "global"}, "fit": {"workers": 2}}
    whole = train("whole", **settings)
    stopped = train("run", Fault("term", "forward", 6), **settings)
    assert stopped.code == 75, stopped.error
    resumed = train("run", **settings)
    assert stopped.seen + resumed.seen == whole.seen
    assert digests(resumed.out, checkpoints=False) == digests(whole.out, checkpoints=False)


def test_second_interrupt_leaves_at_once(train):
    assert train("run", Fault("interrupt twice", "forward", 6)).code == 130


def test_handlers_come_back(train):
    for faults in ((), (Fault("term", "forward", 6),)):
        outcome = train(f"run-{len(faults)}", *faults)
        assert "default_int_handler" in outcome.error["handlers"]
        assert "SIG_DFL" in outcome.error["handlers"]


def test_stop_between_stages_does_not_repeat_the_finished_one(train):
    outcome = train("run", Fault("term", "evaluator", 5), measure=True)
    assert outcome.code == 75
    resumed = train("run", measure=True)
    assert resumed.code == 0
    assert resumed.seen == []
    assert resumed.counts["evaluator"] == 1


def test_stopping_again_and_again_still_ends_with_the_same_bits(train):
    settings = {"rows": {"noise": "global"}, "fit": {"checkpoint_every": 0, "accumulate": 2}}
    whole = train("whole", **settings)
    for at in (1, 1, 6, 3):
        assert train("run", Fault("term", "forward", at), **settings).code == 75
    assert train("run", **settings).code == 0
    assert digests(whole.out, checkpoints=False) == digests(whole.out.parent / "run", checkpoints=False)


def test_time_limit_is_a_request_to_stop():
    with StopRequest(time_limit_s=0.0) as stop:
        assert stop.reason == "time limit"
        with pytest.raises(Stopped, match="time limit"):
            stop.raise_if_asked()


def test_request_names_the_signal_and_keeps_the_first_reason():
    with StopRequest() as stop:
        assert stop.reason is None
        stop.raise_if_asked()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


class _Command:
    """`omnitrain run` in a process group of its own, as a terminal or a scheduler starts it."""

    def __init__(self, recipe, out, *more):
        command = [sys.executable, "-m", "omnitrain", "run", str(recipe), "--out", str(out), *more]
        self.out = out
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def send(self, number, at_steps):
        """Signal the whole group, workers too, once that many lines of metrics are there."""
        deadline = time.monotonic() + 60
        while not (self.out / "metrics.jsonl").exists() or (self.out / "metrics.jsonl").read_bytes().count(b"\n") < at_steps:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(self.process.pid, number)

    def end(self):
        """Return the exit code and what was said to the terminal."""
        said, noted = self.process.communicate(timeout=60)
        return self.process.returncode, said + noted


def test_command_is_killed_stopped_and_resumed_exactly_with_workers(train, tmp_path):
    """The signals go to the whole process group, so that workers get them too, at whatever moment they come."""
    settings = {"rows": {"noise": "global", "slow_s": 0.01}, "fit": {"workers": 2, "log_every": 1, "steps": 60}}
    whole = train("whole", **settings)
    recipe, out = tmp_path / "side-0/recipe.yaml", tmp_path / "run"
    for number, lines, code in ((signal.SIGKILL, 9, -9), (signal.SIGTERM, 25, 75)):
        command = _Command(recipe, out)
        command.send(number, lines)
        ended, said = command.end()
        assert ended == code, said
        assert "Traceback" not in said
        assert code == -9 or f"go on with 'omnitrain run {out}'" in said
    assert _Command(recipe, out).end()[0] == 0
    assert digests(out, checkpoints=False) == digests(whole.out, checkpoints=False)


def test_command_leaves_at_the_second_interrupt(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(rows={"slow_s": 1.5}, fit={"log_every": 1, "evaluate_batches": 0}))
    command = _Command(recipe, tmp_path / "run")
    command.send(0, 1)  # at the end of an update; the next one takes longer than the two pauses
    time.sleep(0.5)
    os.killpg(command.process.pid, signal.SIGINT)
    time.sleep(0.3)
    os.killpg(command.process.pid, signal.SIGINT)
    ended, said = command.end()
    assert ended == 130
    assert "Traceback" not in said
