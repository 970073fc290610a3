"""Checkpoints are whole or passed over, and the newest whole one and the best stay."""

import json
import os
import shutil

import pytest
import torch
from children import Fault, digests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnitrain.engine.checkpoints import Checkpoints
from omnitrain.errors import EnvironmentFault


def parts(step, scale=1.0):
    generator = torch.Generator().manual_seed(step)
    return {
        "model": {"weight": torch.randn(5, 3, generator=generator) * scale, "steps": torch.tensor(step)},
        "loop": {"step": step, "best": None, "order": (1, "a", True)},
    }


def make(folder, steps, identity="a", keep=9, **more):
    notes = []
    checkpoints = Checkpoints(folder, identity, keep, warn=notes.append, **more)
    for step in steps:
        checkpoints.save(step, parts(step))
    checkpoints.wait()
    return checkpoints, notes


@pytest.mark.parametrize("background", [True, False])
def test_what_was_saved_comes_back(tmp_path, background):
    checkpoints, notes = make(tmp_path, [3, 7], background=background)
    restored = checkpoints.load()
    assert restored.step == 7
    assert torch.equal(restored.parts["model"]["weight"], parts(7)["model"]["weight"])
    assert restored.parts["loop"] == parts(7)["loop"]
    assert notes == []


def test_saved_state_does_not_follow_later_changes(tmp_path):
    checkpoints = Checkpoints(tmp_path, "a")
    state = parts(1)
    checkpoints.save(1, state)
    state["model"]["weight"].zero_()
    checkpoints.wait()
    assert torch.equal(checkpoints.load().parts["model"]["weight"], parts(1)["model"]["weight"])


def test_loaded_tensors_have_memory_of_their_own(tmp_path):
    checkpoints, _ = make(tmp_path, [1])
    loaded = checkpoints.load().parts["model"]["weight"]
    loaded.zero_()
    assert torch.equal(checkpoints.load().parts["model"]["weight"], parts(1)["model"]["weight"])


def test_no_checkpoint_is_no_error(tmp_path):
    assert Checkpoints(tmp_path / "none", "a").load() is None


FILES = ("model.safetensors", "state.json", "manifest.json")
DAMAGES = {
    "truncated": lambda p: os.truncate(p, p.stat().st_size // 2),
    "emptied": lambda p: os.truncate(p, 0),
    "deleted": lambda p: p.unlink(),
    "replaced by a folder": lambda p: (p.unlink(), p.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_damaged_checkpoint_is_named_and_the_one_before_it_taken(tmp_path, file, damage):
    checkpoints, notes = make(tmp_path, [1, 2])
    DAMAGES[damage](tmp_path / "step-00000002" / file)
    assert checkpoints.load().step == 1
    assert len(notes) == 1
    assert "step-00000002" in notes[0]
    assert file in notes[0]
    assert "\n" not in notes[0]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_is_found_wherever_it_is(tmp_path, file, place, bit):
    folder = tmp_path / "checkpoints"
    if not folder.exists():
        make(folder, [1, 2])
    path = folder / "step-00000002" / file
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[int(place * len(whole))] ^= 1 << bit
    path.write_bytes(damaged)
    notes = []
    assert Checkpoints(folder, "a", warn=notes.append).load().step == 1
    assert len(notes) == 1
    path.write_bytes(whole)


def test_with_no_whole_checkpoint_left_nothing_is_changed(tmp_path):
    checkpoints, _ = make(tmp_path, [1, 2])
    for folder in tmp_path.iterdir():
        os.truncate(folder / "model.safetensors", 10)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(EnvironmentFault, match="None of the checkpoints can be used") as caught:
        checkpoints.load()
    assert "step-00000001" in str(caught.value)
    assert "step-00000002" in str(caught.value)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_run_falls_back_and_still_ends_with_the_same_bits(train):
    whole = train("whole")
    assert train("run", Fault("kill", "forward", 18)).code == -9
    newest = sorted((whole.out.parent / "run/train/checkpoints").glob("step-*"))[-1]
    os.truncate(newest / "optimiser.safetensors", 100)
    resumed = train("run")
    assert resumed.code == 0
    assert resumed.resumed_at() < int(newest.name.removeprefix("step-"))
    assert [row for row in resumed.events("checkpoint") if "optimiser.safetensors" in row["note"]]
    assert digests(resumed.out) == digests(whole.out)


def test_run_without_a_usable_checkpoint_ends_with_a_message(train):
    killed = train("run", Fault("kill", "forward", 18))
    for folder in (killed.out / "train/checkpoints").glob("step-*"):
        (folder / "manifest.json").unlink()
    before = {p: p.read_bytes() for p in (killed.out / "train/checkpoints").glob("step-*/*")}
    resumed = train("run")
    assert resumed.code == 5
    assert "manifest.json is missing" in resumed.error["text"]
    assert resumed.seen == []
    assert {p: p.read_bytes() for p in (killed.out / "train/checkpoints").glob("step-*/*")} == before


def test_rotation_goes_by_number_and_keeps_the_newest(tmp_path):
    checkpoints, _ = make(tmp_path, [99_999_998, 99_999_999, 100_000_000, 100_000_001], keep=2)
    assert checkpoints.steps() == [100_000_000, 100_000_001]
    assert checkpoints.load().step == 100_000_001


def test_rotation_keeps_the_best(tmp_path):
    checkpoints = Checkpoints(tmp_path, "a", keep=1)
    for step, score in ((1, 0.5), (2, 0.1), (3, None), (4, 0.3), (5, None)):
        checkpoints.save(step, parts(step), score)
    checkpoints.wait()
    assert checkpoints.steps() == [2, 5]
    later = Checkpoints(tmp_path, "a", keep=1)
    later.load()
    later.save(6, parts(6), 0.2)
    later.wait()
    assert later.steps() == [2, 6]


def test_damaged_checkpoints_do_not_push_whole_ones_out(tmp_path):
    make(tmp_path, [1, 2, 3])
    for step in (2, 3):
        (tmp_path / f"step-0000000{step}" / "manifest.json").unlink()
    later = Checkpoints(tmp_path, "a", keep=2, warn=lambda text: None)
    assert later.load().step == 1
    later.save(4, parts(4))
    later.wait()
    assert later.steps() == [1, 4]


def test_higher_numbered_checkpoint_of_another_run_is_not_taken(tmp_path):
    make(tmp_path, [900], identity="other")
    checkpoints, notes = make(tmp_path, [10], identity="mine")
    assert checkpoints.load().step == 10
    assert "other settings" in notes[0]


def test_score_of_another_run_is_not_the_best(tmp_path):
    other = Checkpoints(tmp_path, "other", keep=1)
    other.save(5, parts(5), 0.0)
    other.wait()
    mine = Checkpoints(tmp_path, "mine", keep=1, warn=lambda text: None)
    mine.save(6, parts(6), 0.5)
    mine.wait()
    again = Checkpoints(tmp_path, "mine", keep=1, warn=lambda text: None)
    again.load()
    again.save(7, parts(7), 0.7)
    again.wait()
    assert 6 in again.steps()
    assert 5 not in again.steps()


def test_another_schema_version_is_refused_and_named(tmp_path):
    checkpoints, _ = make(tmp_path, [1])
    path = tmp_path / "step-00000001/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 77}))
    with pytest.raises(EnvironmentFault, match="schema version 77, this version reads 1"):
        checkpoints.load()


def test_renamed_checkpoint_is_not_taken_for_a_later_one(tmp_path):
    checkpoints, _ = make(tmp_path, [1, 2])
    shutil.move(tmp_path / "step-00000001", tmp_path / "step-00000009")
    assert checkpoints.load().step == 2


def test_checkpoint_saved_again_is_never_absent(tmp_path, monkeypatch):
    checkpoints, _ = make(tmp_path, [1], background=False)
    replace, calls = os.replace, []

    def dies_between(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", dies_between)
    monkeypatch.setattr(Checkpoints, "_sweep", lambda self: None)  # as if the process had died there
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(1, parts(1))
    monkeypatch.undo()
    assert Checkpoints(tmp_path, "a").load().step == 1


def test_unsaveable_state_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"'data\.open'"):
        Checkpoints(tmp_path, "a").save(1, {"data": {"open": object()}})


@pytest.fixture
def save_window():
    """A run that does little else than save checkpoints, of steps 3, 6 and, the last, 9."""
    return {"fit": {"steps": 9, "checkpoint_every": 3, "evaluate_every": 0, "evaluate_batches": 0}, "evaluators": []}


def test_kill_at_any_file_operation_costs_one_interval_at_most(train, save_window):
    whole = train("whole", **save_window)
    count = whole.counts["file"]
    resumed_at = set()
    for at in range(8, count - 12, 5):
        killed = train(f"run-{at}", Fault("kill", "file", at), **save_window)
        assert killed.code == -9
        resumed = train(f"run-{at}", **save_window)
        assert resumed.code == 0, (at, resumed.error)
        assert digests(resumed.out) == digests(whole.out)
        if killed.saves:
            assert resumed.resumed_at() >= killed.saves[-1] - 3
        resumed_at.add(resumed.resumed_at())
    assert resumed_at == {0, 3, 6, 9}


def test_kill_at_any_sync_costs_one_interval_at_most(train, save_window):
    whole = train("whole", **save_window)
    for at in range(6, whole.counts["sync"] - 6, 3):
        killed = train(f"run-{at}", Fault("kill", "sync", at), **save_window)
        assert killed.code == -9
        resumed = train(f"run-{at}", **save_window)
        assert resumed.code == 0, (at, resumed.error)
        assert digests(resumed.out) == digests(whole.out)
        if killed.saves:
            assert resumed.resumed_at() >= killed.saves[-1] - 3


@pytest.mark.parametrize("at", [1, 4, 10])
def test_disk_full_for_a_moment_is_survived(train, save_window, at):
    whole = train("whole", **save_window)
    outcome = train("run", Fault("full", "checkpoint sync", at), **save_window)
    assert outcome.counts["checkpoint sync"] > whole.counts["checkpoint sync"]
    assert outcome.code == 0, outcome.error
    assert digests(outcome.out) == digests(whole.out)


@pytest.mark.parametrize("point", ["sync", "write"])
def test_full_disk_ends_the_run_with_whole_checkpoints(train, save_window, point):
    whole = train("whole", **save_window)
    for back in (10, 25, 40):
        out = f"run-{point}-{back}"
        full = train(out, Fault("full", point, whole.counts[point] - back, times=10_000), **save_window)
        assert full.code == 5, (back, full.error.get("trace"))
        assert "No space left on device" in full.error["text"]
        resumed = train(out, **save_window)
        assert resumed.code == 0, resumed.error
        assert digests(resumed.out) == digests(whole.out)
        assert not list(resumed.out.rglob(".tmp-*"))


def test_refused_write_of_the_system_ends_the_run_with_whole_checkpoints(train):
    settings = {"net": {"width": 400}, "fit": {"steps": 9, "checkpoint_every": 3}}
    whole = train("whole", **settings)
    full = train("run", job={"file_limit": 8000}, **settings)
    assert full.code == 5, full.error
    assert "can't be written" in full.error["text"]
    assert list((full.out / "train/checkpoints").iterdir()) == []
    resumed = train("run", **settings)
    assert resumed.code == 0, resumed.error
    assert digests(resumed.out) == digests(whole.out)


def test_shortage_of_memory_names_the_batch_size(train):
    outcome = train("run", Fault("memory", "forward", 6), fit={"accumulate": 2})
    assert outcome.code == 5
    assert "fit.batch_size 8" in outcome.error["text"]
    assert "fit.accumulate" in outcome.error["text"]
    assert not list(outcome.out.rglob(".tmp-*"))


def test_refused_memory_of_the_system_names_the_batch_size(train):
    settings = {"rows": {"rows": 4096}, "net": {"width": 30_000}, "fit": {"batch_size": 4096, "steps": 2}}
    outcome = train("run", job={"memory_limit": 400 * 2**20}, **settings)
    assert outcome.code == 5, outcome.error
    assert "fit.batch_size 4096" in outcome.error["text"]
