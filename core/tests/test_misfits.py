"""Components that were not made for each other are named by a sentence; the shortage of memory keeps its own."""

import json
from pathlib import Path

import pytest
from torch import nn

from omnitrain.cli import run
from omnitrain.engine.misfits import explain
from omnitrain.errors import PluginError
from omnitrain_toy import parts

FIT = {"steps": 2, "batch_size": 4, "learning_rate": 0.01}
OTHERS = {
    "another width": lambda config, context: nn.Linear(7, 1),
    "another call": lambda config, context: nn.Bilinear(4, 4, 1),
    "another answer": lambda config, context: nn.LSTM(4, 1),
}


def written(folder: Path, **more: object) -> list[str]:
    """Write a recipe of one training; return the command for it."""
    train = {"name": "train", "use": "core/fit", "data": "toy/rows", "model": "toy/net", "objective": "toy/square", "fit": FIT}
    (folder / "r.yaml").write_text(json.dumps({"stages": [{**train, **more}]}))
    return ["run", str(folder / "r.yaml"), "--out", str(folder / "run"), "--quiet"]


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
@pytest.mark.parametrize("name", OTHERS)
def test_a_model_that_an_objective_can_not_be_computed_on_is_named(
    name: str, dry: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parts, "net", OTHERS[name])
    assert run([*written(tmp_path), *dry]) == PluginError.exit_code
    told = capsys.readouterr()
    assert "The objective toy/square can't work with torch.nn.modules." in told.out + told.err
    assert "bug" not in told.out + told.err


@pytest.mark.parametrize("stage", ["train", "measure", "command"])
def test_what_an_evaluator_can_not_measure_is_named(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if stage == "command":
        assert run(written(tmp_path)) == 0
        capsys.readouterr()
    monkeypatch.setattr(parts.Error, "__call__", lambda self, predictor, data, run: predictor.tokenizer)
    command = written(tmp_path, **({"evaluators": ["toy/error"]} if stage == "train" else {}))
    if stage == "measure":
        recipe = json.loads((tmp_path / "r.yaml").read_text())
        measure = {"name": "measure", "use": "core/evaluate", "model": {"from": "train"}, "evaluators": ["toy/error"]}
        (tmp_path / "r.yaml").write_text(json.dumps({"stages": [*recipe["stages"], measure]}))
    if stage == "command":
        command = ["evaluate", str(tmp_path / "run"), "--with", "toy/error"]
    assert run(command) == PluginError.exit_code
    told = capsys.readouterr().err
    assert "The evaluator toy/error can't work with torch.nn.modules.container.Sequential (AttributeError" in told
    assert told.count("\n") == 1


def test_a_shortage_of_memory_is_none() -> None:
    shortage = RuntimeError("DefaultCPUAllocator: can't allocate memory")
    assert explain(shortage, "The objective a/b", nn.Linear(1, 1)) is None
    with pytest.raises(PluginError, match="The objective a/b can't work with"):
        explain(RuntimeError("mat1 and mat2"), "The objective a/b", nn.Linear(1, 1))
