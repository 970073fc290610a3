"""The rate and the time that is left are those of recent work."""

from omnitrain.runs import progress
from omnitrain.runs.progress import Bar, Pace


def test_rate_is_that_of_the_last_minute():
    pace = Pace(0, now=0.0)
    assert [pace.note(10 * s, now=float(s)) for s in range(1, 301)][-1] == 10.0
    slow = [pace.note(3000 + s, now=300.0 + 10 * s) for s in range(1, 31)]
    assert slow[0] < 10.0
    assert slow[-1] == 0.1


def test_rate_of_steps_longer_than_the_window_is_that_of_the_last_two():
    pace = Pace(0, now=0.0)
    for step in range(1, 11):
        pace.note(step, now=step * 1.0)
    assert [pace.note(10 + n, now=10 + 200.0 * n) for n in range(1, 4)][-1] == 1 / 200


def test_time_left_of_a_resumed_job_counts_what_is_done_now(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    bar = Bar("train: training", 1000, lambda: None, None)
    bar.show(900)
    for step in range(1, 13):
        clock[0] = float(step)
        bar.show(900 + step)
    assert "train: training: 910 of 1000, 1 min 30 s left" in capsys.readouterr().err
