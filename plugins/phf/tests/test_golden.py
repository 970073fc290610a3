"""Golden vectors of the official code, through the functions that training calls."""

import json
from pathlib import Path

import pytest

from omnitrain.evidence.parity import run_parity
from omnitrain.plugins import installed
from omnitrain_phf.evidence.parity import ADAPTERS

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path.stem for path in GOLDEN.glob("*.json"))


@pytest.fixture(scope="module")
def report():
    return {result.file: result for result in run_parity("phf", installed(), GOLDEN).files}


def test_every_golden_file_has_an_adapter():
    assert set(FILES) == set(ADAPTERS)


@pytest.mark.parametrize("name", FILES)
def test_golden_file_agrees_with_the_official_code(name, report):
    result = report[f"{name}.json"]
    assert result.failed == 0, result.first_difference
    assert result.passed == len(json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))["cases"])


def test_configs_are_read_from_the_recipes(monkeypatch):
    from omnitrain_phf.evidence import official_configs as official

    read = official._read

    def changed(task, stage, method):
        recipe = read(task, stage, method)
        official._stage(recipe, "train")["fit"]["learning_rate"] = 1.0
        return recipe

    monkeypatch.setattr(official, "_read", changed)
    assert official.merged_config("pii", "pretrain", "awr")["training"]["learning_rate"] == 1.0
