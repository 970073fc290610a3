"""Pre-training on selections: what ends without a score, and what a kill leaves."""

import json
import os
import signal
import subprocess
import sys

import pytest

from omnitrain.api import FinishedRun
from omnitrain.cli import run as command

RECIPE = """
stages:
  - name: transfer
    use: w2pgnn/transfer
    candidates:
      davis: {use: w2pgnn/graphs, path: davis, minimum_seeds: 12}
      florentine: {use: w2pgnn/graphs, path: florentine}
    targets:
      karate: {use: w2pgnn/graphs, path: karate, seed_share: null}
    strategies: [gcc-e2e]
    budget: 1
    encoder: {hidden: 8, output: 8, layers: 2, max_degree: 32}
    pretrain: {steps: 3, batch_size: 4, visits: 8}
    downstream: {visits: 8, folds: 2}
    finetune: {epochs: 1, folds: 2}
    positions: 4
"""
# Kills itself as the machine does when memory runs out, once so many cells are finished.
KILLED = """
import os, signal, sys
from omnitrain.cli import run
from omnitrain.runs import Ledger
finished = Ledger.add_encoded

def add_and_die(self, key, value):
    finished(self, key, value)
    if len(self) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

Ledger.add_encoded = add_and_die
run(sys.argv[1:])
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("key", ["transfer.pretrain.learning_rate", "transfer.finetune.learning_rate"])
def test_a_transfer_that_diverges_ends_with_code_7_and_no_score(key, recipe, tmp_path, capsys):
    assert command(["run", recipe, f"{key}=1e30", "--out", str(tmp_path / "run")]) == 7
    assert "lower the learning rate" in capsys.readouterr().err
    assert not (tmp_path / "run/transfer/scores").exists()


def test_a_killed_transfer_goes_on_behind_its_finished_cells_with_the_same_scores(recipe, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert command(["run", recipe, "--out", str(whole)]) == 0
    arguments = [sys.executable, "-c", KILLED, "run", recipe, "--out", str(killed), "--quiet"]
    assert subprocess.run(arguments, env=os.environ, check=False).returncode == -signal.SIGKILL
    items = (killed / "transfer/cells/items.jsonl").read_text("utf-8")
    assert command(["run", recipe, "--out", str(killed)]) == 0
    assert (killed / "transfer/cells/items.jsonl").read_text("utf-8").startswith(items)
    scores = [FinishedRun(folder).artifact("transfer", "scores") / "scores.json" for folder in (whole, killed)]
    assert scores[0].read_bytes() == scores[1].read_bytes()
    assert len(json.loads(scores[0].read_text("utf-8"))["cells"]) == 4
    assert (whole / "metrics.jsonl").read_bytes() == (killed / "metrics.jsonl").read_bytes()
