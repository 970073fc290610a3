"""What a stage gets: everything public is in the protocol, models are opened and saved the same way everywhere."""

import json
from pathlib import Path

import pytest

from omnitrain.api import Run, UseArtifact, UseModel
from omnitrain.engine.building import ComponentBuilder
from omnitrain.engine.evaluate import evaluate
from omnitrain.engine.execution import Options, run_recipe
from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe
from omnitrain.runs import Display, StageRun, StopRequest

RECIPE = """\
seed: 3
stages:
  - name: train
    use: core/fit
    data: {use: toy/rows, rows: 20}
    model: {use: toy/net, width: 5}
    objective: toy/square
    fit: {steps: 3, batch_size: 4, ema_decay: 0.5}
  - name: measure
    use: core/evaluate
    model: {from: train/ema}
    evaluators: [toy/error]
"""


class UseTable(UseArtifact):
    """An example."""

    product = "table"
    artifact_kind = "numbers"


@pytest.fixture
def recipe(tmp_path):
    """A recipe that trains and measures."""
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return load_recipe(str(path), [])


@pytest.fixture
def stage(tmp_path, recipe):
    """Give runs of stages in a finished run directory."""
    folder = run_recipe(recipe, tmp_path / "out", Options(quiet=True))
    stop = StopRequest()

    def stage(name="later", folder=folder):
        builder = ComponentBuilder(installed(), folder, recipe)
        run = StageRun(name, folder, recipe.seed, tmp_path, builder, stop, Display(stop.raise_if_asked, quiet=True))
        run.directory.mkdir(exist_ok=True)
        return run

    yield stage
    folder.close()


def public(value):
    """Return the public names of an object or class."""
    return {name for name in dir(value) if not name.startswith("_")}


def test_a_stage_sees_nothing_that_the_protocol_lacks(stage):
    assert public(stage()) == public(Run)


def test_a_saved_model_is_opened_in_evaluation_mode_with_its_facts_and_data(stage, recipe):
    run = stage()
    opened = run.open(UseModel(**{"from": "train"}), device="cpu")
    assert opened.address == "toy/net"
    assert opened.directory == run.input("train").path
    assert not opened.model.training
    assert opened.facts == json.loads((opened.directory / "component.json").read_text())["facts"]
    assert opened.data_use is recipe.stage("train").config.data


def test_a_model_built_anew_comes_with_the_files_of_its_data(stage, recipe):
    class Labelled:
        def save_assets(self, directory: Path) -> None:
            (directory / "labels.txt").write_text("a\n")

    run = stage()
    opened = run.open(recipe.stage("train").config.model, device="cpu", data=Labelled(), facts={})
    assert (opened.directory / "labels.txt").read_text() == "a\n"
    assert opened.directory.is_relative_to(run.directory)
    assert opened.data_use is None


def test_opening_leaves_the_random_generators_alone(stage, recipe):
    import torch

    before = torch.get_rng_state()
    stage().open(recipe.stage("train").config.model, device="cpu")
    assert torch.equal(before, torch.get_rng_state())


def test_data_come_prepared_with_their_facts(stage, recipe):
    data, facts = stage().data(recipe.stage("train").config.data)
    assert len(data.examples("train")) == 20
    assert facts == (dict(data.facts()) if hasattr(data, "facts") else {})


def test_a_saved_model_says_what_it_is_and_carries_the_files_of_its_data(stage, recipe):
    class Labelled:
        def save_assets(self, directory: Path) -> None:
            (directory / "labels.txt").write_text("a\n")

    run, config = stage(), recipe.stage("train").config
    model = run.open(UseModel(**{"from": "train"}), device="cpu").model
    run.save_model(model, config.model, name="copy", data=config.data, facts={"size": 2}, assets=Labelled(), note="kept")
    place = run.directory / "copy"
    component = json.loads((place / "component.json").read_text())
    assert component["use"] == "toy/net"
    assert component["config"] == {"width": 5, "dropout": 0.1, "asks": False}
    assert component["facts"] == {"size": 2}
    assert component["data"]["use"] == "toy/rows"
    assert component["data"]["config"]["rows"] == 20
    assert (place / "labels.txt").exists()


def test_a_stage_measures_and_gets_what_was_found(stage, recipe):
    run, config = stage(), recipe.stage("train").config
    data, _ = run.data(config.data)
    opened = run.open(UseModel(**{"from": "train/ema"}), device="cpu")
    found = run.evaluate(recipe.stage("measure").config.evaluators, opened, data, report=False)
    stored = json.loads((run.input("train").path.parents[1] / "measure/evaluations/toy-error.json").read_text())
    assert {n: m.value for n, m in found["toy/error"].metrics.items()} == {n: m["value"] for n, m in stored["metrics"].items()}
    assert not (run.directory / "evaluations").exists()


def test_only_an_artifact_of_the_wanted_kind_is_taken(stage):
    run = stage("tables")
    with run.artifact("table", "numbers", folder=True) as path:
        (path / "table.json").write_text("{}")
    with run.artifact("other", "text") as path:
        path.write_text("x")
    folder = run._folder
    from omnitrain.runs import StageRecord

    folder.write_stage("tables", StageRecord("finished", "0", folder.made("tables")))
    later = stage()
    assert later.input(UseTable(**{"from": "tables"})).path == run.directory / "table"
    with pytest.raises(UsageError, match="a numbers is taken here, and that is a text"):
        later.input(UseTable(**{"from": "tables/other"}))
    with pytest.raises(EnvironmentFault, match="has no artifact 'third'; it made table, other"):
        later.input(UseTable(**{"from": "tables/third"}))
    with pytest.raises(UsageError, match=r"write \{from: stage\}"):
        later.input(UseModel(use="toy/net"))


def test_a_part_has_seeds_lines_and_a_folder_of_its_own_and_makes_artifacts_of_the_stage(stage):
    run = stage()
    part = run.part("cloning")
    assert (part.name, part.directory) == ("later/cloning", run.directory / "cloning")
    assert part.seed("data") != run.seed("data")
    part.log(1, {"loss": 1.0})
    assert (run.line_counts(), part.line_counts()) == ((0, 0), (1, 0))
    part.rewind(0, 0)
    assert part.line_counts() == (0, 0)
    with part.artifact("notes", "text") as path:
        path.write_text("x")
    made = run._folder.made("later")["cloning/notes"]
    assert made == {"path": "later/cloning/notes", "kind": "text", "details": {}}


def test_lines_of_a_part_go_with_its_stage(stage):
    run = stage()
    run.log(1, {"loss": 1.0})
    run.part("cloning").log(1, {"loss": 1.0})
    run._folder.reset_stage("later")
    assert run.part("cloning").line_counts() == run.line_counts() == (0, 0)


def test_the_stage_that_evaluates_is_written_with_what_every_stage_gets(stage, recipe):
    run = stage("again")
    evaluate(recipe.stage("measure").config, run)
    first, second = (run._folder.root / name / "evaluations/toy-error.json" for name in ("measure", "again"))
    assert json.loads(first.read_text())["metrics"].keys() == json.loads(second.read_text())["metrics"].keys()
    assert not (run.directory / "assets").exists()


def test_a_ledger_is_the_stages_own_and_is_closed_with_it(stage):
    with stage() as run:
        ledger = run.ledger("answers")
        assert run.ledger("answers") is ledger
        assert list(ledger.map(str.upper, ["a", "b"], key=str)) == [("a", "A"), ("b", "B")]
        assert ledger.folder.is_relative_to(run.directory)
    with stage() as run:
        assert dict(run.ledger("answers").items()) == {"a": "A", "b": "B"}
        run.discard("answers")
        assert not (run.directory / "answers").exists()
        assert len(run.ledger("answers")) == 0


def test_a_ledger_outside_of_the_stage_is_refused(stage):
    with pytest.raises(EnvironmentFault, match="leads out of"):
        stage().ledger("../train")


def test_a_damaged_line_of_a_ledger_is_an_event_of_the_run(stage):
    with stage() as run:
        run.ledger("answers").add("a", 1)
    path = run.directory / "answers/items.jsonl"
    path.write_bytes(path.read_bytes() + b"torn")
    with stage() as run:
        assert dict(run.ledger("answers").items()) == {"a": 1}
    events = (run.directory.parent / "events.jsonl").read_text().splitlines()
    assert "torn" in json.loads(events[-1])["note"]


def test_a_stage_of_other_settings_takes_no_items_of_the_old_ones(stage):
    with stage() as run:
        run.identity = "first"
        run.ledger("answers").add("a", 1)
    with stage() as run:
        run.identity = "second"
        assert len(run.ledger("answers")) == 0
        run.ledger("answers").add("b", 1)
    run._folder.reset_stage("later")
    assert not run.directory.exists()
