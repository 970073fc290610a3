"""`omnitrain export`: what transformers loads afterwards is the model that was trained, with and without adapters."""

import json
from pathlib import Path

import pytest
import torch
from conftest import Command

from omnitrain.engine import scratch_run
from omnitrain.engine.opening import load_saved_model
from omnitrain.plugins import installed

TINY = ("run", "language/tiny", "pretrain.fit.steps=3", "pretrain.fit.evaluate_every=0", "--out")


def logits_of_trained(folder: Path, ids: torch.Tensor) -> torch.Tensor:
    with scratch_run(installed()) as run, torch.no_grad():
        found: torch.Tensor = load_saved_model(folder, run, installed()).eval()(input_ids=ids).logits
    return found


@pytest.mark.parametrize("settings", [[], ["pretrain.model.lora={rank: 2}"]], ids=["weights", "adapters"])
def test_transformers_loads_what_was_exported(omnitrain: Command, tmp_path: Path, settings: list[str]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    omnitrain(*TINY, tmp_path / "run", *settings, *["tune.model.lora=" + s.partition("=")[2] for s in settings])
    told = json.loads(omnitrain("export", tmp_path / "run/pretrain/model", tmp_path / "exported", "--json").stdout)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(told["files"])
    assert not any("adapter" in name or name == "component.json" for name in told["files"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "exported")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "exported").eval()
    ids = tokenizer(["The function returns the"], return_tensors="pt").input_ids[:, :8]
    with torch.no_grad():
        found = model(ids).logits
    torch.testing.assert_close(found, logits_of_trained(tmp_path / "run/pretrain/model", ids))
    before = {path.name: path.read_bytes() for path in (tmp_path / "exported").iterdir()}
    refused = omnitrain("export", tmp_path / "run/pretrain/model", tmp_path / "exported", code=2)
    assert "exists" in refused.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "exported").iterdir()} == before
