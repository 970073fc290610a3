"""Golden vectors of the official code, through the functions that training calls."""

import json
from pathlib import Path

import pytest
import torch

from omnitrain_lae.evidence.parity import ADAPTERS, TOLERANCES

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path.stem for path in GOLDEN.glob("*.json"))


def difference(expected, actual, tolerance, path="output"):
    """Return the first place where two trees differ, or None."""
    if isinstance(actual, torch.Tensor) or hasattr(actual, "tolist"):
        actual = actual.tolist()
    if isinstance(expected, dict):
        if set(expected) != set(actual):
            return f"{path}: {sorted(actual)}"
        found = (difference(v, actual[k], tolerance, f"{path}.{k}") for k, v in expected.items())
        return next((d for d in found if d), None)
    if isinstance(expected, list):
        if len(expected) != len(actual):
            return f"{path}: {len(actual)} entries"
        found = (difference(e, a, tolerance, f"{path}[{i}]") for i, (e, a) in enumerate(zip(expected, actual, strict=True)))
        return next((d for d in found if d), None)
    if isinstance(expected, float):
        return None if abs(expected - actual) <= tolerance * (1 + abs(expected)) else f"{path}: {actual}, expected {expected}"
    return None if expected == actual else f"{path}: {actual}, expected {expected}"


def test_every_golden_file_has_an_adapter_and_a_tolerance():
    assert set(FILES) == set(ADAPTERS) == set(TOLERANCES)


@pytest.mark.parametrize("name", FILES)
def test_golden_file_agrees_with_the_official_code(name):
    shared = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    cases = shared.pop("cases")
    torch.set_default_dtype(torch.float64)
    try:
        for number, case in enumerate(cases):
            found = difference(case["output"], ADAPTERS[name](case["input"], shared), TOLERANCES[name][0])
            assert found is None, f"case {number}: {found}"
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_comparison_notices_a_wrong_loss():
    case = json.loads((GOLDEN / "metrics.json").read_text("utf-8"))["cases"][0]
    wrong = {**case["output"], "last_acc": 0.5}
    assert "last_acc" in difference(wrong, ADAPTERS["metrics"](case["input"], {}), 1e-12)
