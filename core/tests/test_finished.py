"""A finished run is read by stage and evaluator; what is missing is named with what there is instead."""

import json
import math
import subprocess
import sys

import pytest

from omnitrain.api import Evaluation, FinishedRun, Metric, Sample, Table
from omnitrain.errors import Damaged, DataError
from omnitrain.runs import RunDirectory
from omnitrain.runs.directory import StageRecord
from omnitrain.runs.progress import Display
from omnitrain.runs.stage import StageRun
from omnitrain.runs.stopping import StopRequest

EVALUATION = Evaluation(
    metrics={"loss": Metric(1.5, 8, "lower", (1.0, 2.0), "nats"), "bad": Metric(math.nan, 0)},
    tables={"arms": Table(["arm", "loss"], [["a", 1.0]], "All arms.")},
    samples={"texts": [Sample({"output": "x"})]},
)


@pytest.fixture
def folder(tmp_path):
    """A run of three stages: one finished, one that did not, one that did not begin."""
    run = RunDirectory(tmp_path)
    stages = [{"name": name, "use": "toy/none"} for name in ("train", "stopped", "later")]
    (tmp_path / "run.json").write_text(json.dumps({"schema": 1, "fingerprint": "0", "recipe": {"stages": stages}}))
    with StopRequest() as stop:
        stage = StageRun("train", run, 0, tmp_path / "w", None, stop, Display(lambda: None, quiet=True))
        stage.directory.mkdir()
        stage.log(1, {"loss": 3.0})
        stage.log(2, {"loss": math.inf})
        stage.timing(2, {"tokens_per_second": 10.0})
        stage.report("toy/error", EVALUATION)
        stage.report("during", Evaluation(metrics={"loss": Metric(2.0, 1)}), step=5)
        stage.report("during", Evaluation(metrics={"loss": Metric(1.0, 1)}), step=10)
        with stage.artifact("model", "model") as place:
            place.mkdir()
            (place / "x").write_text("x")
    model = {"path": "train/model", "kind": "model", "details": {}}
    run.write_stage("train", StageRecord("finished", "f", {"model": model}, 2.5, {"omnitrain-toy": "0.1"}))
    run.write_stage("stopped", StageRecord("running", "f"))
    run.close()
    return tmp_path


def test_evaluation_comes_back_as_it_was_reported(folder):
    found = FinishedRun(folder).evaluation("train", "toy/error")
    assert found.metrics["loss"] == EVALUATION.metrics["loss"]
    assert math.isnan(found.metrics["bad"].value)
    assert (found.tables, found.samples) == (EVALUATION.tables, EVALUATION.samples)


def test_evaluation_of_a_step_is_the_last_one_unless_it_is_named(folder):
    run = FinishedRun(folder)
    assert run.metrics("train", "during")["loss"].value == 1.0
    assert run.metrics("train", "during", step=5)["loss"].value == 2.0
    assert run.values("train", "during") == {"loss": 1.0}


def test_lines_timings_artifacts_and_records_are_read_by_stage(folder):
    run = FinishedRun(folder)
    assert run.stages == ("train", "stopped", "later")
    assert run.lines("train") == [{"step": 1, "loss": 3.0}, {"step": 2, "loss": math.inf}]
    assert {line["split"] for line in run.lines("train", split=None)} == {"train", "toy/error", "during"}
    assert run.timings("train") == [{"step": 2, "tokens_per_second": 10.0}]
    assert (run.artifact("train") / "x").read_text() == "x"
    assert run.stage_folder("train") == folder / "train"
    record = run.record("train")
    assert (record.status, record.seconds, record.artifacts) == ("finished", 2.5, {"model": "model"})
    assert record.code == {"omnitrain-toy": "0.1"}
    assert run.record("stopped").status == "running"


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda run: run.metrics("trian", "toy/error"), "has no stage 'trian'. Did you mean 'train'"),
        (lambda run: run.metrics("train", "toy/eror"), "holds no evaluation 'toy/eror'; it holds during, toy/error"),
        (lambda run: run.metrics("train", "during", step=6), "holds no evaluation 'during' at step 6"),
        (lambda run: run.metrics("stopped", "toy/error"), "'stopped' of .* did not finish"),
        (lambda run: run.record("later"), "'later' of .* did not run"),
        (lambda run: run.lines("train", "valid"), "logged nothing of split 'valid'; it logged during, toy/error, train"),
        (lambda run: run.lines("later"), "logged nothing of split 'train'; it logged nothing"),
        (lambda run: run.timings("stopped"), "'stopped' of .* timed nothing"),
        (lambda run: run.artifact("train", "best"), "has no artifact 'best'; it made model"),
    ],
)
def test_what_is_missing_is_named_with_what_there_is(folder, ask, said):
    with pytest.raises(DataError, match=said):
        ask(FinishedRun(folder))


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"is no run \(run\.json is not there\)"):
        FinishedRun(tmp_path)


def test_damaged_files_and_paths_that_lead_out_are_refused(folder):
    run = FinishedRun(folder)
    stored = json.loads((folder / "train" / "stage.json").read_text())
    stored["artifacts"]["model"]["path"] = "../../etc"
    (folder / "train" / "stage.json").write_text(json.dumps(stored))
    with pytest.raises(DataError, match="leads out of"):
        run.artifact("train")
    (folder / "train" / "evaluations" / "toy-error.json").write_text('{"metrics": {"loss": 3}}')
    with pytest.raises(DataError, match=r"toy-error\.json is damaged; run stage 'train' again"):
        run.metrics("train", "toy/error")
    (folder / "train" / "evaluations" / "toy-error.json").write_text("{")
    with pytest.raises(DataError, match="can't be read"):
        run.metrics("train", "toy/error")


@pytest.mark.parametrize(("path", "said"), [(None, " is missing"), ("train\0", ": expected a path, not 'train")])
def test_an_artifact_without_a_path_is_damage(folder, path, said):
    stored = json.loads((folder / "train" / "stage.json").read_text())
    made = {key: value for key, value in stored["artifacts"]["model"].items() if key != "path"}
    stored["artifacts"]["model"] = made if path is None else {**made, "path": path}
    (folder / "train" / "stage.json").write_text(json.dumps(stored))
    with pytest.raises(Damaged, match=rf"stage\.json is damaged; run stage 'train' again \(artifacts\.model\.path{said}"):
        FinishedRun(folder).artifact("train")
    with pytest.raises(Damaged, match=rf"\(artifacts\.model\.path{said}"):
        RunDirectory(folder).artifact("train", "model")


def test_opening_a_run_loads_neither_torch_nor_pydantic_nor_numpy(folder):
    code = (
        "import pathlib, sys; from omnitrain.api import FinishedRun; run = FinishedRun(pathlib.Path(sys.argv[1]));"
        "run.metrics('train', 'toy/error'); print([m for m in ('torch', 'pydantic', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
