"""The five stages from one recipe: killed in each of them, a run ends as if nothing had happened."""

import hashlib
import os
import sys
import traceback
from contextlib import contextmanager

import pytest
import torch._dynamo

import omnitrain.engine.fit
import omnitrain_vpt.labelling
import omnitrain_vpt.reinforce
from omnitrain.engine.execution import Options, run_recipe
from omnitrain.recipes import load_recipe
from omnitrain.runs import StageRun

# Imported here once, instead of in every process that the test forks.
PRELOADED = (torch._dynamo, omnitrain.engine.fit, omnitrain_vpt.labelling, omnitrain_vpt.reinforce)
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


def in_a_process(recipe, out, killed_in=None):
    """Run a recipe in a process of its own; return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            break_in(killed_in)
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
        *out.glob("*/data/**/*.mp4"),
        *out.glob("*/data/**/*.jsonl"),
        out / "metrics.jsonl",
    ]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_chain_that_is_killed_in_every_stage_ends_as_one_that_was_not(tmp_path):
    recipe = tmp_path / "chain.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    assert in_a_process(recipe, tmp_path / "whole") == 0
    for stage in STAGES:
        assert in_a_process(recipe, tmp_path / "killed", stage) == KILLED, stage
    assert in_a_process(recipe, tmp_path / "killed") == 0
    found = digests(tmp_path / "whole")
    assert len(found) > 10
    assert digests(tmp_path / "killed") == found
