"""Outputs of the official code, in both precisions."""

import json
from pathlib import Path

import pytest
import torch

from omnitrain.evidence.comparing import Tolerance, first_difference
from omnitrain_vpt.evidence.parity import ADAPTERS, COMPARE, TOLERANCES

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def precision(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


@pytest.mark.parametrize("stem", sorted(ADAPTERS))
def test_official_outputs_are_met(stem, precision):
    content = json.loads((GOLDEN / f"{stem}.json").read_text("utf-8"))
    shared = {key: value for key, value in content.items() if key != "cases"}
    relative, absolute = TOLERANCES.get(stem, (1e-6, 1e-7))
    # What torch computes is held to 1e-5 in both precisions, everything else to its own tolerance.
    tolerance = Tolerance(max(relative, 1e-5), max(absolute, 1e-5)) if relative >= 1e-6 else Tolerance(relative, absolute)
    for case in content["cases"]:
        actual = ADAPTERS[stem](case["input"], shared)
        if stem in COMPARE:
            assert COMPARE[stem](case["output"], actual, case["input"]) is None
        else:
            assert first_difference(case["output"], actual, tolerance, "output") is None


def test_every_file_has_an_adapter():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(ADAPTERS)
