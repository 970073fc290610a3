"""Metrics go to the trackers that were asked for, and a tracker that fails never stops a run."""

import json
import sys
from importlib.metadata import EntryPoint

import pytest

from omnitrain.engine.execution import Options, run_recipe
from omnitrain.errors import EnvironmentFault, PluginError, UsageError
from omnitrain.recipes import load_recipe
from omnitrain.runs import trackers as module
from omnitrain.runs import tracking
from omnitrain.runs.trackers import Trackers, find_trackers

RECIPE = """\
seed: 3
stages:
  - name: train
    use: core/fit
    data: {use: toy/rows, rows: 20}
    model: toy/net
    objective: toy/square
    fit: {steps: 4, batch_size: 4, log_every: 2}
  - name: measure
    use: core/evaluate
    model: {from: train}
    evaluators: [toy/error]
"""


class Fake:
    """A tracker that remembers; `broken` names the call that fails."""

    def __init__(self, broken=""):
        self.broken, self.calls, self.settings = broken, [], {}

    def __call__(self, directory, stage, settings):
        self.settings[stage] = settings
        self._do("open", directory.name, stage)
        return self

    def log(self, step, values, split):
        self._do("log", step, sorted(values), split)

    def close(self):
        self._do("close")

    def _do(self, *call):
        self.calls.append(call)
        if call[0] == self.broken:
            raise OSError("no route to the tracker")


@pytest.fixture
def installed(monkeypatch):
    """Make trackers available under names, as an installed distribution does."""

    def installed(**trackers):
        points = [EntryPoint(name, f"{__name__}:{name}", module.GROUP) for name in trackers]
        monkeypatch.setattr(module, "entry_points", lambda group: points)
        monkeypatch.setattr(EntryPoint, "load", lambda point: trackers[point.name])

    return installed


@pytest.fixture
def train(tmp_path):
    """Run the recipe with trackers; return the run's folder."""
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)

    def train(*trackers):
        return run_recipe(load_recipe(str(path), []), tmp_path / "out", Options(quiet=True, trackers=trackers)).root

    return train


def events(root):
    """Return the events of a run."""
    return [json.loads(line) for line in (root / "events.jsonl").read_text().splitlines()]


def test_a_tracker_gets_the_lines_of_metrics_stage_by_stage(train, installed):
    fake = Fake()
    installed(fake=fake)
    root = train("fake")
    opened = [call[1:] for call in fake.calls if call[0] == "open"]
    assert opened == [("out", "train"), ("out", "measure")]
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    told = [call[1:] for call in fake.calls if call[0] == "log"]
    assert told == [(row["step"], sorted(row.keys() - {"stage", "step", "split"}), row["split"]) for row in lines]
    assert [call for call in fake.calls if call == ("close",)] == [("close",)] * 2
    assert fake.settings["train"]["fit"]["steps"] == 4
    assert (fake.settings["train"]["seed"], fake.settings["train"]["use"]) == (3, "core/fit")


@pytest.mark.parametrize("broken", ["open", "log", "close"])
def test_a_tracker_that_fails_is_told_once_and_gets_nothing_more(broken, train, installed):
    bad, good = Fake(broken), Fake()
    installed(bad=bad, good=good)
    root = train("bad", "good")
    told = [event for event in events(root) if event["event"] == "tracker failed"]
    assert [(event["tracker"], event["fault"]) for event in told] == [("bad", "OSError: no route to the tracker")]
    assert bad.calls[-1][0] == broken
    assert sum(call[0] == "log" for call in good.calls) > sum(call[0] == "log" for call in bad.calls) - (broken == "close")
    assert json.loads((root / "measure/stage.json").read_text())["status"] == "finished"


def test_a_part_of_a_stage_is_tracked_under_its_own_name(tmp_path):
    fake = Fake()
    trackers = Trackers({"fake": fake}, tmp_path, {"train": {"seed": 1}})
    trackers.log("train/cloning", 1, {"loss": 0.5, "note": "text"}, "train", pytest.fail)
    assert fake.settings == {"train/cloning": {"seed": 1}}
    assert fake.calls[-1] == ("log", 1, ["loss"], "train")


def test_without_a_wish_tensorboard_is_used_where_it_is_installed(monkeypatch):
    monkeypatch.delenv(module.VARIABLE, raising=False)
    for found, names in ((None, []), (object(), ["tensorboard"])):
        monkeypatch.setattr(module, "find_spec", lambda name, found=found: found)
        assert list(find_trackers()) == names


def test_the_environment_names_trackers_and_options_go_before_it(monkeypatch, installed):
    installed(one=Fake(), two=Fake())
    monkeypatch.setenv(module.VARIABLE, " one, two,")
    assert list(find_trackers()) == ["one", "two"]
    assert list(find_trackers(["two"])) == ["two"]
    assert find_trackers(["none"]) == {}
    monkeypatch.setenv(module.VARIABLE, "")
    assert find_trackers() == {}


def test_unknown_tracker_is_refused_before_the_run_starts(train, installed, tmp_path):
    installed(mine=Fake())
    with pytest.raises(UsageError, match=r"no tracker 'mime'\. Did you mean 'mine'"):
        train("mime")
    assert not (tmp_path / "out").exists()


def test_absent_package_is_named_with_the_extra(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'omnitrain-core\[wandb\]'"):
        find_trackers(["wandb"])


def test_tracker_that_can_not_be_loaded_is_named(monkeypatch):
    monkeypatch.setattr(module, "entry_points", lambda group: [EntryPoint("mine", "nowhere_at_all:Mine", group)])
    with pytest.raises(PluginError, match=r"'mine' \(nowhere_at_all:Mine\) can't be loaded"):
        find_trackers(["mine"])


class Recorded:
    """Stands for another package: what is called and with what."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def call(*arguments, **named):
            self.calls.append((name, arguments, named))
            return self

        return call


def test_tensorboard_gets_a_folder_per_stage_and_a_curve_per_number(monkeypatch, tmp_path):
    fake = Recorded()
    monkeypatch.setitem(sys.modules, "tensorboard", fake)
    monkeypatch.setitem(sys.modules, "tensorboard.summary", fake)
    tracker = tracking.TensorBoard(tmp_path, "train", {})
    tracker.log(2, {"loss": 0.5}, "valid")
    tracker.close()
    assert [call[:2] for call in fake.calls] == [
        ("Writer", (str(tmp_path / "tensorboard/train"),)),
        ("add_scalar", ("valid/loss", 0.5, 2)),
        ("close", ()),
    ]


def test_weights_and_biases_gets_steps_as_values_since_they_may_come_again(monkeypatch, tmp_path):
    fake = Recorded()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    tracker = tracking.WeightsAndBiases(tmp_path, "train", {"seed": 1})
    for step in (7, 5):
        tracker.log(step, {"loss": 0.5}, "valid")
    tracker.close()
    assert [call[:2] for call in fake.calls[-3:]] == [
        ("log", ({"step": 7, "valid/loss": 0.5},)),
        ("log", ({"step": 5, "valid/loss": 0.5},)),
        ("finish", ()),
    ]
    again = tracking.WeightsAndBiases(tmp_path, "train", {"seed": 1})
    assert again is not tracker
    ids = [named["id"] for name, _, named in fake.calls if name == "init"]
    assert ids[0] == ids[1]


def test_mlflow_gets_settings_as_parameters_and_numbers_by_step(monkeypatch, tmp_path):
    fake = Recorded()
    fake.experiment_id, fake.run_id, fake.info = "3", "r", fake
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    tracker = tracking.MLflow(tmp_path, "train", {"recipe": "toy/tiny", "fit": {"steps": 4}})
    tracker.log(2, {"loss": 0.5}, "valid")
    tracker.close()
    named = [(name, arguments) for name, arguments, _ in fake.calls]
    assert ("set_experiment", ("toy/tiny",)) in named
    assert ("log_param", ("r", "fit.steps", "4")) in named
    assert ("log_metric", ("r", "valid/loss", 0.5)) in named
    assert named[-1] == ("set_terminated", ("r",))
