"""Outputs of the official code in float32, in which everything trains; the contract compares them in float64."""

import json
from pathlib import Path

import pytest

from omnitrain.evidence.comparing import Tolerance, first_difference
from omnitrain_vpt.evidence.parity import ADAPTERS, COMPARE, TOLERANCES

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("stem", sorted(ADAPTERS))
def test_official_outputs_are_met_in_float32(stem):
    content = json.loads((GOLDEN / f"{stem}.json").read_text("utf-8"))
    shared = {key: value for key, value in content.items() if key != "cases"}
    relative, absolute = TOLERANCES.get(stem, (1e-6, 1e-7))
    # What torch computes is held to 1e-5, everything else to its own tolerance.
    tolerance = Tolerance(max(relative, 1e-5), max(absolute, 1e-5)) if relative >= 1e-6 else Tolerance(relative, absolute)
    for case in content["cases"]:
        actual = ADAPTERS[stem](case["input"], shared)
        if stem in COMPARE:
            assert COMPARE[stem](case["output"], actual, case["input"]) is None
        else:
            assert first_difference(case["output"], actual, tolerance, "output") is None
