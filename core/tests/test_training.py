"""A training inside a stage: in one go or bit by bit, its bits are those of the uninterrupted one."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from omnitrain.api import Loss
from omnitrain.engine import FitSettings, Parts, Trainer, isolated, scratch_run, seed_everything, train
from omnitrain.errors import DataError, NumericalError, Stopped
from omnitrain.report.content import stage_charts
from omnitrain_toy import configs, parts

SETTINGS = {"steps": 12, "batch_size": 8, "learning_rate": 0.05, "log_every": 3, "checkpoint_every": 4, "evaluate_batches": 0}


def rows(**settings):
    return parts.Rows(configs.Rows(**settings), None)


def other_rows(fingerprint="fedcba9876543210"):
    data = rows(rows=30)
    data.fingerprint = fingerprint
    return data


def toy_parts(data=None):
    with isolated(5):
        return Parts(data or rows(), parts.net(configs.Net(), None), parts.Square(configs.Square(), None))


def weights(trainer):
    return [p.detach().clone() for p in trainer.model.parameters()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def settings(**changes):
    return FitSettings(**{**SETTINGS, **changes})


@pytest.fixture
def run():
    with scratch_run() as found:
        yield found


def test_lines_seeds_and_checkpoints_are_the_parts_own(run):
    seed_everything(1)
    before = torch.get_rng_state()
    run.log(1, {"own": 1.0})
    part = run.part("cloning")
    trainer = train(part, toy_parts(), settings(evaluate_batches=2))
    assert torch.equal(torch.get_rng_state(), before)
    assert part.name == f"{run.name}/cloning"
    assert [line["step"] for line in run.lines(part.name, "train")] == [3, 6, 9, 12]
    assert [line["step"] for line in run.lines(part.name, "valid")] == [12]
    assert len(run.lines(run.name)) == 1
    assert max(int(p.name.removeprefix("step-")) for p in (part.directory / "checkpoints").iterdir()) == 12
    assert trainer.finished
    assert not same(weights(trainer), weights(train(run.part("other"), toy_parts(), settings())))


def test_many_calls_are_one_training(run):
    whole = train(run.part("a"), toy_parts(), settings(ema_decay=0.5))
    with scratch_run() as other, Trainer(other.part("a"), toy_parts(), settings(ema_decay=0.5)) as trainer:
        for step in (1, 5, 5, 9, 99):
            trainer.until(step)
            assert trainer.step == min(step, 12)
            torch.rand(3)
        assert same(weights(whole), weights(trainer))
        assert whole.average is not None
        assert same(whole.average.state_dict().values(), trainer.average.state_dict().values())
        assert other.lines(f"{other.name}/a") == run.lines(f"{run.name}/a")


@pytest.mark.parametrize("checkpoint_every", [0, 1, 5])
@pytest.mark.parametrize("stop", [1, 4, 7, 11])
def test_stopped_training_goes_on_exactly(run, stop, checkpoint_every):
    chosen = settings(checkpoint_every=checkpoint_every)
    whole = train(run.part("whole"), toy_parts(), chosen, after=lambda updated: None)

    def stops(updated):
        if updated.step == stop:
            raise Stopped("Now.")

    with scratch_run() as other:
        part = other.part("whole")
        with pytest.raises(Stopped):
            train(part, toy_parts(), chosen, after=stops)
        later = train(part, toy_parts(), chosen)
        assert same(weights(whole), weights(later))
        assert other.lines(part.name) == run.lines(f"{run.name}/whole")


def test_finished_training_is_loaded_and_not_repeated(run):
    first = train(run.part("a"), toy_parts(), settings())
    lines = run.lines(f"{run.name}/a")
    seen = []
    again = train(run.part("a"), toy_parts(), settings(), after=seen.append)
    assert seen == []
    assert same(weights(first), weights(again))
    assert run.lines(f"{run.name}/a") == lines


def test_without_checkpoints_a_killed_training_begins_anew_and_logs_nothing_twice(run):
    part, chosen = run.part("a"), settings(checkpoint_every=0)
    with Trainer(part, toy_parts(), chosen) as trainer:
        trainer.until(6)
    whole = train(part, toy_parts(), chosen)
    assert [line["step"] for line in run.lines(part.name)] == [3, 6, 9, 12]
    assert not same(weights(trainer), weights(whole))


@pytest.mark.parametrize("killed_at", [4, 6, 8, 12])
def test_other_data_goes_on_with_the_same_optimiser_also_after_a_kill(run, killed_at):
    rounds = [(6, rows), (12, other_rows)]

    def play(part, until):
        with Trainer(part, toy_parts(rows()), settings(checkpoint_every=2)) as trainer:
            for end, make in rounds:
                if trainer.step < end:
                    trainer.until(min(end, until), make())
                if trainer.step >= until:
                    break
            return weights(trainer)

    whole = play(run.part("a"), 12)
    with scratch_run() as other:
        play(other.part("a"), killed_at)
        assert same(play(other.part("a"), 12), whole)
        assert other.lines(f"{other.name}/a") == run.lines(f"{run.name}/a")


def test_data_of_the_same_fingerprint_goes_on_where_it_stood(run):
    whole = train(run.part("a"), toy_parts(), settings())
    with scratch_run() as other, Trainer(other.part("a"), toy_parts(), settings()) as trainer:
        for step in (5, 9, 12):
            trainer.until(step, rows())
        assert same(weights(whole), weights(trainer))


def test_optimiser_rate_and_clipping_may_be_the_stages_own(run):
    seen, built = [], toy_parts()
    optimiser = torch.optim.SGD(built.model.parameters(), lr=1.0)

    def after(updated):
        seen.append((optimiser.param_groups[0]["lr"], updated.applied, updated.mean()))

    before = [p.detach().clone() for p in built.model.parameters()]
    train(
        run.part("a"), built, settings(steps=2, clip_norm=None), optimiser=optimiser, rate=lambda step: 0.1 / step,
        clip_value=1e-3, after=after,
    )  # fmt: skip
    assert [(rate, applied) for rate, applied, _ in seen] == [(0.1, True), (0.05, True)]
    moved = max(float((a - b.detach()).abs().max()) for a, b in zip(before, built.model.parameters(), strict=True))
    assert moved <= 1e-3 * 0.15 * 1.001
    assert np.isfinite([mean for *_, mean in seen]).all()


def test_batches_may_come_in_an_order_of_the_stages_own(run):
    class Backwards:
        def __init__(self, data):
            self.data, self.row = data, 49

        def next(self):
            self.row -= 1
            return [self.data.collate([(self.row + 1, 0.0)])]

        def state_dict(self):
            return {"row": self.row}

        def load_state_dict(self, state):
            self.row = state["row"]

        def close(self):
            pass

    sums = []

    class Watching:
        needs = parts._Square.needs

        def __call__(self, model, batch, /):
            sums.append(float(batch["y"]))
            return Loss(model(batch["x"]).sum(), 1.0)

    data = rows()
    given = Parts(data, nn.Linear(4, 1), Watching())
    train(run.part("a"), given, settings(steps=3), feed=Backwards)
    assert sums == [float(data.y[row]) for row in (49, 48, 47)]


def test_bad_updates_in_a_row_end_it(run):
    with pytest.raises(NumericalError, match="3 updates in a row, up to step 3"):
        train(run.part("a"), toy_parts(rows(nan_at=list(range(50)))), settings(skip_nonfinite=2))
    assert [event["step"] for event in run.events("skipped update")] == [1, 2, 3]


def test_data_that_ends_too_early_is_a_fault(run):
    with pytest.raises(DataError, match="ended before the planned number of steps"):
        train(run.part("a"), toy_parts(rows(form="stream", ends_after=3)), settings())


def test_scratch_run_leaves_nothing_and_keeps_what_was_said_as_long_as_it_lasts():
    with scratch_run(seed=3) as run:
        folder = run.directory
        run.log(2, {"loss": float("nan")})
        run.event("note", text="x")
        with run.artifact("model", "model", folder=True) as path:
            (path / "file").write_text("x")
        assert (folder / "model/file").read_text() == "x"
        assert json.dumps(run.lines(run.name)) == '[{"stage": "scratch", "step": 2, "split": "train", "loss": NaN}]'
        assert run.events("note") == [{"stage": "scratch", "event": "note", "text": "x"}]
        seed = run.seed("data")
    assert not folder.exists()
    with scratch_run(seed=3) as again:
        assert again.seed("data") == seed
        assert again.lines() == []


def test_scratch_run_builds_what_it_was_given():
    with scratch_run(build=lambda use, facts: (use, facts), facts={"n": 1}) as run:
        assert run.build("anything") == ("anything", {"n": 1})
        assert run.part("a").build("anything", {}) == ("anything", {})


def test_report_draws_the_trainings_inside_a_stage_under_their_names(run):
    for name in ("one", "two"):
        train(run.part(name), toy_parts(), settings(evaluate_batches=2, evaluate_every=6))
    loss = next(chart for chart in stage_charts(run.lines(), run.name) if chart.title == "loss")
    assert [name in loss.legend for name in ("one", "one valid", "two", "two valid")] == [True] * 4
    many = [{**line, "stage": f"{run.name}/{number}"} for number in range(9) for line in run.lines(f"{run.name}/one")]
    assert stage_charts(many, run.name) == []
