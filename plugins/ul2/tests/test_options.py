"""The options of T5X in a run: Adafactor, the inverse square root schedule and z-loss."""

import json
import math

import pytest

from omnitrain.engine.execution import Options, run_recipe
from omnitrain.recipes import load_recipe

RECIPE = """
stages:
  - name: pretrain
    use: core/fit
    data:
      use: ul2/denoising
      text: {{use: language/text, path: {corpus}}}
      tokenizer: {{vocabulary_size: 512, sentinels: 32}}
      inputs_length: 48
    model: {{use: language/t5, size: tiny}}
    objective: {{use: language/seq2seq-nll, z_loss: {z_loss}}}
    fit:
      steps: 12
      batch_size: 4
      learning_rate: 0.01
      optimiser: {{name: adafactor}}
      schedule: {{name: inverse-sqrt, warmup_steps: 5}}
      log_every: 1
      evaluate_batches: 1
"""


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def train(folder, corpus, z_loss):
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE.format(corpus=corpus, z_loss=z_loss), "utf-8")
    run_recipe(load_recipe(str(folder / "recipe.yaml"), []), folder / "run", Options(quiet=True))
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [line for line in lines if line["split"] == "train"]


def test_learning_rate_is_constant_and_then_falls_with_one_over_the_root_of_the_step(tmp_path, corpus):
    lines = train(tmp_path / "with", corpus, 1e-2)
    assert [line["step"] for line in lines] == list(range(1, 13))
    for line in lines:
        assert line["learning_rate"] == pytest.approx(0.01 * math.sqrt(5) / math.sqrt(max(line["step"], 5)), rel=1e-6)
    assert lines[-1]["nll"] < lines[0]["nll"]
    assert all(line["loss"] > line["nll"] > 0 for line in lines)
    plain = train(tmp_path / "without", corpus, 0.0)
    # The same first batch and weights: z-loss adds to the loss and changes nothing else yet.
    assert plain[0]["loss"] == pytest.approx(lines[0]["nll"], rel=1e-6)
    assert "nll" not in plain[0]
    assert plain[-1]["loss"] != lines[-1]["nll"]
