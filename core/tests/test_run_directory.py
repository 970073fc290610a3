"""A run directory belongs to one recipe and one process, is checked before anything starts, and mends itself."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from children import Fault, digests
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.errors import EnvironmentFault
from omnitrain.recipes import fingerprint, load_recipe, locked_values
from omnitrain.runs import Records, RunDirectory, RunLock, StageRecord, environment, read_records
from omnitrain.runs.environment import code_versions, describe_environment
from omnitrain.runs.files import inside, whole, write_json, write_whole


@pytest.mark.parametrize("place", ["/dev/null/run", "/proc/run", "/proc/self/fd/run", "file/run", "file"])
def test_impossible_place_is_refused_before_training(place, train, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    outcome = train(place)
    assert outcome.code == 5, outcome.error
    assert "can't be written" in outcome.error["text"]
    assert "--out" in outcome.error["text"]
    assert outcome.seen == []


def test_nearly_full_disk_is_refused_before_training(tmp_path, monkeypatch):
    class Space:
        f_bavail, f_frsize = 10, 4096

    monkeypatch.setattr(os, "statvfs", lambda path: Space)
    with pytest.raises(EnvironmentFault, match="0 MiB left; at least 64 MiB"):
        RunDirectory(tmp_path / "run").create()


def test_folder_with_other_files_is_refused_and_left_alone(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.txt").write_text("years of work")
    outcome = train("run")
    assert outcome.code == 2
    assert "is not empty and not a run" in outcome.error["text"]
    assert (tmp_path / "run/thesis.txt").read_text() == "years of work"
    assert not (tmp_path / "run/run.json").exists()


def test_folder_of_another_recipe_is_refused_with_the_differences(train):
    assert train("run", fit={"steps": 1}).code == 0
    other = train("run", fit={"steps": 1, "batch_size": 4}, net={"width": 3})
    assert other.code == 2
    assert "train.fit.batch_size: 8 -> 4" in other.error["text"]
    assert "train.model.width: 8 -> 3" in other.error["text"]


def test_other_code_is_refused_with_the_versions_unless_forced(train):
    assert train("run", Fault("term", "forward", 6)).code == 75
    path = train("copy", fit={"steps": 1}).out.parent / "run/train/stage.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "fingerprint": "0" * 32, "code": {**record["code"], "omnitrain-toy": "0.0.9"}}))
    refused = train("run")
    assert refused.code == 2
    assert "omnitrain-toy: '0.0.9' -> '0.1'" in refused.error["text"]
    assert (path.parent / "checkpoints").exists()
    assert train("run", job={"force": True}).code == 0


def test_code_of_a_stage_does_not_depend_on_unrelated_plugins():
    assert set(code_versions(["omnitrain-toy", "omnitrain-core"])) == {"omnitrain-toy", "omnitrain-core"}
    assert code_versions(["Omnitrain.Toy"]) == code_versions(["omnitrain-toy"])
    assert code_versions(["nothing-like-it"]) == {}


def test_extras_do_not_change_the_code_of_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {
        "toy": ["core>=0.1", "kit; extra == 'test'", "kit>=1 ; python_version > '3' and extra == \"test\""],
        "core": None,
        "kit": None,
    }
    monkeypatch.setattr(environment, "own_versions", lambda: dict.fromkeys(needed, "1"))
    monkeypatch.setattr(environment, "requires", needed.__getitem__)
    assert code_versions(["toy"]) == {"core": "1", "toy": "1"}
    assert code_versions(["kit"]) == {"kit": "1"}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("run.json", "{}", "schema version None; this version of omnitrain reads 1"),
        ("run.json", '{"schema": 99}', "schema version 99"),
        ("run.json", '{"schema": 1}', "is damaged"),
        ("run.json", "[1", "can't be read"),
        ("run.json", "[]", "schema version None"),
        ("train/stage.json", '{"unexpected": 1}', "is damaged"),
        ("train/stage.json", "", "can't be read"),
    ],
)
def test_damaged_files_of_a_run_are_named(file, text, message, train):
    assert train("run", fit={"steps": 1}).code == 0
    outcome = train("run", fit={"steps": 1})
    (outcome.out / file).write_text(text)
    outcome = train("run", fit={"steps": 1})
    assert outcome.code == 5, outcome.error
    assert message in outcome.error["text"]
    assert file in outcome.error["text"]


def test_kill_between_the_first_files_does_not_make_the_folder_unusable(train):
    for at in range(1, 40, 3):
        out = f"run-{at}"
        assert train(out, Fault("kill", "file", at), fit={"steps": 2}).code == -9
        outcome = train(out, fit={"steps": 2})
        assert outcome.code == 0, (at, outcome.error)
        assert (outcome.out / "recipe.lock.yaml").exists()
        assert not list(outcome.out.rglob(".tmp-*"))


def test_lock_file_of_a_run_gives_the_same_recipe(train):
    outcome = train("run", measure=True, fit={"steps": 1})
    again = load_recipe(str(outcome.out / "recipe.lock.yaml"))
    stored = json.loads((outcome.out / "run.json").read_text())
    assert fingerprint(locked_values(again)) == stored["fingerprint"]


def test_second_process_on_a_folder_is_refused(launch, train):
    slow = launch("run", rows={"slow_s": 0.2}, fit={"workers": 1})
    _until(lambda: (slow.out / "events.jsonl").exists())
    second = train("run", rows={"slow_s": 0.2}, fit={"workers": 1})
    os.kill(slow.pid, signal.SIGKILL)
    assert second.code == 5, second.error
    assert f"in use by process {slow.pid}" in second.error["text"]
    slow()


def test_lock_of_a_killed_process_is_free_at_once_although_its_workers_live_on(launch, train):
    settings_ = {"rows": {"slow_s": 0.05}, "fit": {"workers": 2, "steps": 10}}
    killed = train("run", Fault("kill", "forward", 4), **settings_)
    assert killed.code == -9
    assert train("run", **settings_).code == 0


def test_lock_is_held_in_one_process_only_once(tmp_path):
    with RunLock(tmp_path), pytest.raises(EnvironmentFault, match=f"in use by process {os.getpid()}"), RunLock(tmp_path):
        pass
    with RunLock(tmp_path):
        pass


def _until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


lines = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.floats() | st.text()), max_size=8)


@given(rows=lines, torn=st.binary(max_size=20), keep=st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_records_survive_a_torn_end_and_are_cut_per_stage(rows, torn, keep, tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "metrics.jsonl"
    records = Records(path)
    for stage, value in rows:
        records.append(stage, value=value)
    records.close()
    with open(path, "ab") as file:
        file.write(b'{"stage": "a", ' + torn)
    again = Records(path)
    assert again.count("a") == sum(stage == "a" for stage, _ in rows)
    again.append("b", value=1.0)
    again.cut("a", keep)
    again.close()
    found = read_records(path)
    kept = [stage for stage, _ in rows] + ["b"]
    assert [row["stage"] for row in found if row["stage"] == "b"] == [stage for stage in kept if stage == "b"]
    assert sum(row["stage"] == "a" for row in found) == min(keep, kept.count("a"))
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))


def test_numbers_that_are_not_finite_come_back_from_records(tmp_path):
    records = Records(tmp_path / "metrics.jsonl")
    records.append("a", loss=float("nan"), norm=float("inf"), nested={"low": float("-inf")})
    records.close()
    (row,) = read_records(tmp_path / "metrics.jsonl")
    assert row["loss"] != row["loss"]
    assert row["norm"] == float("inf")
    assert row["nested"] == {"low": "-inf"}


def test_records_in_the_place_of_a_folder_are_an_error_of_the_machine(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(EnvironmentFault, match=r"metrics\.jsonl can't be"):
        Records(tmp_path / "metrics.jsonl").append("a", loss=1.0)


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../../other", "link/x"])
def test_paths_that_lead_out_of_the_run_are_refused(path, tmp_path):
    root = tmp_path / "run"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(EnvironmentFault, match="leads out of"):
        inside(root, path)
    assert inside(root, "a/b") == root / "a/b"


def test_artifact_with_a_path_out_of_the_run_is_refused(tmp_path):
    folder = RunDirectory(tmp_path / "run")
    folder.create()
    (tmp_path / "secret").write_text("x")
    folder.write_stage("train", StageRecord("finished", "0", {"model": {"path": "../secret", "kind": "model", "details": {}}}))
    with pytest.raises(EnvironmentFault, match="leads out of"):
        folder.artifact("train", "model")


@pytest.mark.parametrize("existing", [False, True])
def test_interrupted_artifact_leaves_what_was_there(existing, tmp_path):
    target = tmp_path / "model"
    if existing:
        target.mkdir()
        (target / "old").write_text("old")

    def interrupted():
        with whole(target) as path:
            path.mkdir()
            (path / "new").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == (["model"] if existing else [])
    assert not existing or (target / "old").read_text() == "old"
    with whole(target) as path:
        path.mkdir()
        (path / "new").write_text("whole")
    assert [p.name for p in target.iterdir()] == ["new"]


def test_artifact_that_was_not_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="'model'"), whole(tmp_path / "model"):
        pass


def test_written_text_is_whole_or_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_whole(path, "old")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(EnvironmentFault, match="No space left on device"):
        write_json(path, {"new": 1})
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_environment_names_versions_but_no_person_or_place():
    text = json.dumps(describe_environment())
    assert "omnitrain-toy" in text
    assert os.path.expanduser("~") not in text
    assert sys.prefix not in text


def test_run_log_keeps_the_traceback_that_the_terminal_is_spared(train):
    outcome = train("run", Fault("full", "checkpoint sync", 1, times=1000))
    assert outcome.code == 5
    assert "Traceback" not in outcome.said
    assert "Traceback" in (outcome.out / "run.log").read_text()


def test_artifacts_other_than_the_default_can_be_taken_from_a_stage(train, tmp_path):
    first = train("run", fit={"steps": 2, "ema_decay": 0.5})
    text = (first.out / "recipe.lock.yaml").read_text()
    recipe = tmp_path / "two.yaml"
    body = (
        text[: text.index("# lock:")]
        + "- {name: again, use: core/evaluate, model: {from: train/ema}, evaluators: [toy/error]}\n"
    )
    recipe.write_text(body)
    out = tmp_path / "two"
    done = subprocess.run(
        [sys.executable, "-m", "omnitrain", "run", str(recipe), "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    values = [row for row in read_records(out / "metrics.jsonl") if row["split"] == "toy/error"]
    assert len({row["mean_error"] for row in values}) == 2
    assert digests(out)["train/ema/model.safetensors"] == digests(first.out)["train/ema/model.safetensors"]
