"""Golden vectors of the official code, through the functions that training calls."""

import json
from pathlib import Path

import pytest
import torch

from omnitrain.evidence.parity import Tolerance, first_difference
from omnitrain_omnimol.evidence.parity import ADAPTERS, COMPARE, TOLERANCES

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path.stem for path in GOLDEN.glob("*.json"))
COMPUTED = ["gin_encoder", "gradient_adaptive_lora", "graph_token_fusion", "moe_layer"]


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def differences(name, tolerance):
    shared = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    cases = shared.pop("cases")
    for case in cases:
        actual = ADAPTERS[name](case["input"], shared)
        if name in COMPARE:
            yield COMPARE[name](case["output"], actual, case["input"])
        else:
            yield first_difference(case["output"], actual, tolerance, "output")


def test_every_golden_file_has_an_adapter():
    assert set(FILES) == set(ADAPTERS)
    assert len(FILES) == 12


@pytest.mark.parametrize("name", FILES)
def test_golden_file_agrees_in_float64(name, float64):
    found = list(differences(name, Tolerance(**TOLERANCES.get(name, {"relative": 0.0, "absolute": 0.0}))))
    assert found
    assert found == [None] * len(found)


@pytest.mark.parametrize("name", COMPUTED)
def test_golden_file_agrees_in_float32(name):
    found = list(differences(name, Tolerance(relative=5e-6, absolute=5e-6)))
    assert found
    assert found == [None] * len(found)
