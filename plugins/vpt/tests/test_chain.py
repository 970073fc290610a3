"""Stages from one recipe: killed in each of them, a run ends as if nothing had happened."""

import hashlib
import json
import os
import shutil
import sys
import traceback
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import sklearn.pipeline
import sklearn.svm
import torch._dynamo

import omnitrain.engine.fit
import omnitrain_vpt.stages.clean
import omnitrain_vpt.stages.reinforce
from omnitrain.engine import Ledger
from omnitrain.engine.execution import Options, run_recipe
from omnitrain.errors import EnvironmentFault
from omnitrain.recipes import load_recipe
from omnitrain.runs import RunDirectory, StageRun
from omnitrain_control.video import VideoWriter, write_video

# Imported here once, instead of in every process that the tests fork.
PRELOADED = (torch._dynamo, omnitrain.engine.fit, omnitrain_vpt.stages.reinforce, sklearn.pipeline, sklearn.svm)
KILLED = 9
RECIPE = """
summary: Record, train a labeller, label, clone, fine-tune, reinforce.
seed: 0
stages:
  - name: record
    use: vpt/record
    world: &world {area: 16, worlds: 1, cell: 4, steps: 24}
    clips: 3
    steps: 24
  - name: idm
    use: core/fit
    data: {from: record, layout: windows, image_size: 32, steps: 8}
    model: {use: vpt/idm, size: tiny}
    objective: {use: vpt/inverse}
    fit: &fit {steps: 4, batch_size: 2, learning_rate: 1e-3, log_every: 1, checkpoint_every: 1, evaluate_batches: 1}
  - name: label
    use: vpt/label
    data: {from: record, image_size: 32}
    model: {from: idm}
    window: 8
    stride: 4
  - name: bc
    use: core/fit
    data: {from: label, layout: streams, steps: 8, nulls: keep}
    model: {use: vpt/policy, size: tiny}
    objective: {use: vpt/cloning}
    fit: *fit
  - name: finetune
    use: core/fit
    data: {from: record, layout: streams, image_size: 32, steps: 8}
    model: {from: bc}
    objective: {use: vpt/cloning}
    fit: *fit
  - name: reinforce
    use: vpt/reinforce
    model: {from: finetune}
    world: *world
    iterations: 3
    environments: 2
    chunks: 1
    steps: 8
    batch_chunks: 2
    checkpoint_every: 1
"""
STAGES = ("record", "idm", "label", "bc", "finetune", "reinforce")


class Fragile:
    """A bar that tells when it advances."""

    def __init__(self, bar, happens):
        self.bar, self.happens = bar, happens

    def advance(self, *amount, **values):
        self.happens()
        self.bar.advance(*amount, **values)

    def __getattr__(self, name):
        return getattr(self.bar, name)


def break_in(stage):
    """End this process as a kill does, at the second sign of work that a stage gives."""
    progress, log, left = StageRun.progress, StageRun.log, 2

    def happens():
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(KILLED)

    @contextmanager
    def shown(self, label, total=None):
        with progress(self, label, total) as bar:
            yield Fragile(bar, happens) if self.name == stage and label != "decoding" else bar

    def logged(self, step, values, split="train"):
        log(self, step, values, split)
        if self.name == stage:
            happens()

    StageRun.progress, StageRun.log = shown, logged


def in_a_process(recipe, out, breaking=lambda: None):
    """Run a recipe in a process of its own, in which `breaking` was called before; return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            breaking()
            run_recipe(load_recipe(str(recipe)), out, Options(quiet=True))
            code = 0
        except BaseException:  # nothing may return into the tests of the parent
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def digests(out):
    files = [
        *out.glob("*/model/*.safetensors"),
        *(path for path in out.glob("*/data/**/*") if path.is_file()),
        *out.glob("*/evaluations/*"),
        out / "metrics.jsonl",
    ]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_chain_that_is_killed_in_every_stage_ends_as_one_that_was_not(tmp_path):
    recipe = tmp_path / "chain.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    assert in_a_process(recipe, tmp_path / "whole") == 0
    for stage in STAGES:
        assert in_a_process(recipe, tmp_path / "killed", partial(break_in, stage)) == KILLED, stage
    assert in_a_process(recipe, tmp_path / "killed") == 0
    found = digests(tmp_path / "whole")
    assert len(found) > 10
    assert digests(tmp_path / "killed") == found


CLEANING = """
summary: Keep the clean stretches of web video, and label them.
seed: 0
stages:
  - name: clean
    use: vpt/clean
    data: {use: vpt/recordings, path: web}
    clean: {use: vpt/recordings, path: good}
    frames_per_s: 20
    least_s: 0.5
    examples: 40
  - name: label
    use: vpt/label
    data: {from: clean, image_size: 32}
    model: {use: vpt/idm, size: tiny}
    window: 8
    stride: 4
"""


def break_at(owner, name, wanted, behind=False):
    """End this process before, or behind, the first call of a method whose arguments are the wanted ones."""
    original = getattr(owner, name)

    def called(*arguments, **settings):
        found = wanted(*arguments)
        result = original(*arguments, **settings) if behind or not found else None
        if found:
            os._exit(KILLED)
        return result

    setattr(owner, name, called)


def break_in_a_stretch():
    """End this process in the middle of the second stretch that is cut out."""
    left = iter(range(70))
    break_at(VideoWriter, "write", lambda *ignored: next(left, None) is None)


def second(stage):
    """Tells whether a method of a run, or of what belongs to it, is called for the second time in a stage."""
    left = iter(range(1))
    return lambda part, *ignored: stage in str(getattr(part, "folder", part)) and next(left, None) is None


def breaks_of(stage):
    """Where a stage may be killed."""

    def finished(folder, name, record):
        return name == stage and record.status == "finished"

    def own(run, *ignored):
        return run.name == stage

    return {
        f"{stage}: at the second video": partial(break_in, stage),
        f"{stage}: before a video is noted as done": partial(break_at, Ledger, "add", second(stage)),
        f"{stage}: behind the report": partial(break_at, StageRun, "report", own, True),
        f"{stage}: while its recordings become an artifact": partial(break_at, os, "link", second(f"{stage}/recordings/files")),
        f"{stage}: before it is recorded as finished": partial(break_at, RunDirectory, "write_stage", finished),
    }


@pytest.fixture
def web(tmp_path, monkeypatch):
    """Videos with clean stretches, one of which has a banner in its middle, and examples of clean frames."""
    draw = np.random.default_rng(0)
    frames = draw.integers(60, 120, (4, 60, 36, 36, 3)).astype(np.uint8)
    frames[1, 27:33, :9] = 250
    for name, video in zip(("web/a", "web/b", "web/c", "good/a"), frames, strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_video(tmp_path / f"{name}.mp4", video)
    (tmp_path / "web/b.jsonl").write_text("".join(f"{number}\n" for number in range(60)), encoding="utf-8")
    (tmp_path / "web/broken.mp4").write_bytes(b"no video")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_cleaning_and_labelling_that_are_killed_anywhere_end_as_if_they_were_not(web):
    recipe = web / "cleaning.yaml"
    recipe.write_text(CLEANING, encoding="utf-8")
    assert in_a_process(recipe, web / "whole") == 0
    found = digests(web / "whole")
    assert sum(name.startswith("clean/data") and name.endswith(".mp4") for name in found) == 4
    places = {
        "clean: in a stretch": break_in_a_stretch,
        **breaks_of("clean"),
        **breaks_of("label"),
    }
    for place, breaking in places.items():
        assert in_a_process(recipe, web / "killed", breaking) == KILLED, place
    assert in_a_process(recipe, web / "killed") == 0
    assert digests(web / "killed") == found


REINFORCING = """
summary: Reinforce a policy.
seed: 0
stages:
  - name: reinforce
    use: vpt/reinforce
    model: {use: vpt/policy, size: tiny}
    world: {area: 16, worlds: 1, cell: 4, steps: 24}
    iterations: 4
    environments: 2
    chunks: 1
    steps: 8
    batch_chunks: 2
    checkpoint_every: 1
"""


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_damaged_checkpoint_of_reinforcement_is_named_and_the_one_before_it_taken(tmp_path):
    recipe, killed = tmp_path / "reinforcing.yaml", tmp_path / "killed"
    recipe.write_text(REINFORCING, encoding="utf-8")
    assert in_a_process(recipe, tmp_path / "whole") == 0
    fourth = partial(break_at, StageRun, "log", lambda run, step, *ignored: step == 4)
    assert in_a_process(recipe, killed, fourth) == KILLED
    older, newest = sorted(killed.glob("reinforce/checkpoints/step-*"))[-2:]
    os.truncate(newest / "phasic.safetensors", 100)
    shutil.copytree(killed, tmp_path / "lost")
    assert in_a_process(recipe, killed) == 0
    events = [json.loads(row) for row in (killed / "events.jsonl").read_text("utf-8").splitlines()]
    (note,) = [event["note"] for event in events if event["event"] == "checkpoint"]
    assert newest.name in note
    assert "phasic.safetensors" in note
    assert [event["step"] for event in events if event["event"] == "resumed"] == [int(older.name.removeprefix("step-"))]
    assert digests(killed) == digests(tmp_path / "whole")
    (tmp_path / "lost/reinforce/checkpoints" / older.name / "manifest.json").unlink()
    with pytest.raises(EnvironmentFault, match=f"(?s)None of the checkpoints can be used.*{older.name}"):
        run_recipe(load_recipe(str(recipe)), tmp_path / "lost", Options(quiet=True))
