"""A model whose language model is of an earlier stage is whole where that stage is not."""

import json
import shutil

import torch
from safetensors.torch import load_file

from omnitrain.engine import Options, run_recipe, scratch_run
from omnitrain.engine.opening import open_folder
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe


def test_language_model_of_an_earlier_stage_is_saved_with_its_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tasks = {"weight": {}, "rings": {"like": "weight", "instruction": "How many rings has this molecule?"}}
    data = {"use": "omnimol/tasks", "tasks": tasks, "tokenizer": {"vocabulary_size": 300}, "length": 320, "most_rows": 8}
    fit = {"steps": 1, "batch_size": 2, "evaluate_batches": 1}
    model = {"use": "omnimol/model", "language": {"from": "first"}, "graph": {"layers": 1, "width": 8}, "adapters": {"rank": 2}}
    stages = [
        {
            "name": "first",
            "use": "core/fit",
            "data": {**data, "graphs": False},
            "model": {"use": "language/causal", "style": "llama", "size": "tiny", "max_length": 320},
            "objective": "language/causal-nll",
            "fit": fit,
        },
        {
            "name": "second",
            "use": "core/fit",
            "data": {"from": "first", "graphs": True},
            "model": model,
            "objective": "omnimol/answers",
            "fit": fit,
        },
    ]
    (tmp_path / "recipe.yaml").write_text(json.dumps({"summary": "A test.", "stages": stages}))
    run_recipe(load_recipe("recipe.yaml"), tmp_path / "out", Options(quiet=True))
    shutil.move(tmp_path / "out/second/model", tmp_path / "alone")
    shutil.rmtree(tmp_path / "out")
    described = json.loads((tmp_path / "alone/component.json").read_text())["config"]["language"]
    assert (described["use"], described["style"]) == ("language/causal", "llama")
    registry = installed()
    with scratch_run(registry) as run:
        opened = open_folder(tmp_path / "alone", run, registry)
    stored = load_file(tmp_path / "alone/model.safetensors")
    state = opened.model.state_dict()
    assert set(stored) <= set(state)
    assert all(torch.equal(state[name], value) for name, value in stored.items())
