"""What can't work is refused before the first stage trains, by the run as by the dry run, and leaves the folder free."""

import json
from pathlib import Path

import pytest

from omnitrain.cli.failures import guarded
from omnitrain.errors import EnvironmentFault, Unreachable, UsageError

FIT = {"steps": 3, "batch_size": 4, "evaluate_batches": 0}


def stage(name="train", **more):
    base = {
        "name": name,
        "use": "core/fit",
        "data": {"use": "toy/rows"},
        "model": {"use": "toy/net"},
        "objective": "toy/square",
    }
    return {**base, "fit": FIT, **more}


def measure(**more):
    return {"name": "measure", "use": "core/evaluate", "model": {"from": "train"}, "evaluators": ["toy/error"], **more}


REFUSED = {
    "evaluator without its split": (
        [stage(data={"use": "toy/rows", "validation": 0}), measure(evaluators=[{"use": "toy/error", "needs_split": "valid"}])],
        4,
        "measure: the evaluator toy/error: the data has no split 'valid'",
    ),
    "evaluator of the training without its split": (
        [stage(data={"use": "toy/rows", "validation": 0}, evaluators=[{"use": "toy/error", "needs_split": "valid"}])],
        4,
        "train: the evaluator toy/error: the data has no split 'valid'",
    ),
    "plan of a later stage": (
        [stage(), {"name": "more", "use": "toy/collect", "refuses": True}],
        2,
        "refuses: this can't work.",
    ),
    "library of a later stage": (
        [stage(), stage("again", data={"use": "toy/rows", "library": "no_such_module"})],
        5,
        "again.data needs no_such_module, which is not installed: pip install 'toy[more]'",
    ),
    "device of a later stage": ([stage(), measure(device="cuda:99")], 5, "measure.device: The device 'cuda:99' is not there"),
    "name of a device": ([stage(), measure(device="no/such")], 2, "measure.device: There is no device named 'no/such'"),
    "device without numbers": (
        [stage(fit={**FIT, "device": "meta"})],
        2,
        "train.fit.device: the device 'meta' holds shapes only",
    ),
    "split of a later stage": (
        [stage(), stage("again", train_split="trian")],
        2,
        "the data has no split 'trian'; it has train, valid",
    ),
    "model of a later stage": (
        [stage(), stage("again", model={"use": "toy/net", "asks": True})],
        2,
        "toy/net lacks inputs: use it with data that tells them",
    ),
    "more parts than examples": ([stage(fit={**FIT, "accumulate": 5})], 2, "accumulate 5 is above batch_size 4"),
    "examples beyond any index": ([stage(fit={**FIT, "batch_size": 2**70})], 2, "train.fit.batch_size"),
    "number beyond any index": (
        [stage(data={"use": "toy/rows", "rows": 2**70})],
        2,
        "train.data.rows: expected a whole number between",
    ),
    "early stop on nothing": (
        [stage(fit={**FIT, "evaluate_batches": 5, "evaluate_every": 1, "early_stop": {"metric": "vaild/loss"}})],
        2,
        "fit.early_stop.metric 'vaild/loss' is never measured; measured are valid/loss.",
    ),
    "early stop on a part that is not told": (
        [stage(fit={**FIT, "evaluate_batches": 5, "evaluate_every": 1, "early_stop": {"metric": "valid/nll"}})],
        2,
        "fit.early_stop.metric 'valid/nll' is never measured; measured are valid/loss, valid/plain.",
    ),
    "early stop without evaluations": ([stage(fit={**FIT, "early_stop": {}})], 2, "early_stop looks at every evaluation"),
}


def written(tmp_path, stages) -> str:
    path = tmp_path / "r.yaml"
    path.write_text(json.dumps({"summary": "A test.", "stages": stages}))
    return str(path)


def trained(out: Path) -> list[Path]:
    return [*out.glob("*/checkpoints"), *out.glob("*/model"), *(p for p in out.glob("metrics.jsonl") if p.read_bytes())]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_trained(name, tmp_path, capsys):
    stages, code, sentence = REFUSED[name]
    out = tmp_path / "run"
    assert guarded(["run", written(tmp_path, stages), "--out", str(out), "--quiet"]) == code
    error = capsys.readouterr().err
    assert sentence in error
    assert "this is a bug" not in error
    assert trained(out) == []
    good = [stage(), measure()]
    assert guarded(["run", written(tmp_path, good), "--out", str(out), "--quiet"]) == 0


@pytest.mark.parametrize("name", [n for n in REFUSED if "early stop on a part" not in n])
def test_dry_run_ends_with_the_exit_code_of_the_run(name, tmp_path, capsys):
    stages, code, sentence = REFUSED[name]
    assert guarded(["run", written(tmp_path, stages), "--dry-run", "--quiet"]) == code
    told = capsys.readouterr()
    assert sentence in told.out + told.err


def test_early_stop_on_what_an_evaluator_does_not_give_ends_at_the_first_evaluation(tmp_path, capsys):
    settings = {**FIT, "evaluate_every": 1, "early_stop": {"metric": "toy/error/eror"}}
    recipe = written(tmp_path, [stage(fit=settings, evaluators=["toy/error"])])
    assert guarded(["run", recipe, "--out", str(tmp_path / "run"), "--quiet"]) == 2
    assert "'toy/error/eror' is never measured; measured are toy/error/mean_error." in capsys.readouterr().err


def test_what_only_an_earlier_stage_tells_is_not_checked(tmp_path, capsys):
    stages = [{"name": "collect", "use": "toy/collect"}]
    stages.append(stage(data={"from": "collect"}, model={"use": "toy/net", "asks": True}))
    assert guarded(["run", written(tmp_path, stages), "--dry-run", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "not checked here: the model, before its data is there" in shown
    assert "PROBLEM" not in shown
    assert guarded(["run", written(tmp_path, stages), "--out", str(tmp_path / "run"), "--quiet"]) == 0


def test_dry_run_of_data_that_cannot_be_read_here_has_a_problem(tmp_path, capsys, monkeypatch):
    from omnitrain_toy.parts import _Base

    def prepare(self, workspace, context):
        raise EnvironmentFault("own.parquet needs pyarrow: pip install 'toy[parquet]'.")

    monkeypatch.setattr(_Base, "prepare", prepare, raising=False)
    stages = [stage(), stage("again", train_split="trian", data={"use": "toy/rows"}), {"name": "collect", "use": "toy/collect"}]
    recipe = written(tmp_path, stages)
    assert guarded(["run", recipe, "--dry-run", "--quiet"]) == 5
    assert "PROBLEM: own.parquet needs pyarrow" in capsys.readouterr().out
    assert guarded(["run", recipe, "--dry-run", "--quiet", "--json"]) == 5
    checked = json.loads(capsys.readouterr().out)["stages"]
    assert [found["exit_code"] for found in checked] == [5, 5, 0]
    assert checked[0]["parameters"] == [49, 49]


def test_folder_of_a_run_that_made_nothing_is_free_and_of_one_that_trained_is_not(tmp_path, capsys, monkeypatch):
    from omnitrain_toy import parts

    out, recipe = str(tmp_path / "run"), written(tmp_path, [stage()])
    with monkeypatch.context() as broken:
        broken.setattr(parts, "net", lambda config, context: {}["weights"])
        assert guarded(["run", recipe, "--out", out, "--quiet"]) == 1
    other = ["run", recipe, "train.fit.learning_rate=0.5", "--out", out, "--quiet"]
    assert guarded(other) == 0
    assert guarded(["run", recipe, "--out", out, "--quiet"]) == 2
    assert "belongs to another recipe" in capsys.readouterr().err


def test_dry_run_of_a_measurement_on_data_that_cannot_be_reached_from_here_is_a_note(tmp_path, capsys, monkeypatch):
    from omnitrain_toy.parts import _Base

    def prepare(self, workspace, context):
        raise Unreachable("hub:owner/name: can't be read from the hub.")

    monkeypatch.setattr(_Base, "prepare", prepare, raising=False)
    recipe = written(
        tmp_path, [stage(), measure(data={"use": "toy/rows"}, evaluators=[{"use": "toy/error", "needs_split": "valid"}])]
    )
    assert guarded(["run", recipe, "--dry-run", "--quiet"]) == 0
    assert capsys.readouterr().out.count("not checked here: hub:owner/name") == 2


def test_what_an_evaluator_reads_besides_may_lie_elsewhere_in_a_dry_run(tmp_path, capsys, monkeypatch):
    from omnitrain_toy import parts

    def check_data(self, data, run):
        raise Unreachable("exams are not on this machine.")

    monkeypatch.setattr(parts.Error, "check_data", check_data)
    recipe = written(tmp_path, [stage(evaluators=["toy/error"]), measure()])
    assert guarded(["run", recipe, "--dry-run", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("not checked here: exams are not on this machine") == 2
    assert guarded(["run", recipe, "--out", str(tmp_path / "run"), "--quiet"]) == 4
    assert "the evaluator toy/error: exams are not on this machine." in capsys.readouterr().err


def test_library_of_an_optimiser_is_asked_for_before_the_first_stage(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("omnitrain.engine.beforehand.find_spec", lambda name: None)
    recipe = written(tmp_path, [stage(), stage("again", fit={**FIT, "optimiser": {"name": "adafactor"}})])
    assert guarded(["run", recipe, "--out", str(tmp_path / "run"), "--quiet"]) == 5
    assert (
        "again.fit.optimiser needs transformers, which is not installed: pip install 'transformers'" in capsys.readouterr().err
    )


@pytest.mark.parametrize("measured", ["in training", "by a later stage"])
def test_an_evaluator_that_the_model_does_not_suit_refuses_it_before_training(tmp_path, capsys, monkeypatch, measured):
    from omnitrain_toy import parts

    def check_model(self, model, run):
        raise UsageError(f"a {type(model).__name__} has no game.")

    monkeypatch.setattr(parts.Error, "check_model", check_model, raising=False)
    recipe = written(tmp_path, [stage(evaluators=["toy/error"])] if measured == "in training" else [stage(), measure()])
    name = "train" if measured == "in training" else "measure"
    for words in (["--dry-run"], ["--out", str(tmp_path / "run")]):
        assert guarded(["run", recipe, *words, "--quiet"]) == 2
        told = capsys.readouterr()
        assert f"{name}: the evaluator toy/error: a Sequential has no game." in told.out + told.err
    assert trained(tmp_path / "run") == []
