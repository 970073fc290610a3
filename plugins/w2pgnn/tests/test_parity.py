"""Parity: the comparison of fits notices what is wrong, and the sound fit is no worse on the golden problems."""

import json
from pathlib import Path

import numpy as np
import pytest

from omnitrain_w2pgnn.evidence import parity
from omnitrain_w2pgnn.evidence.parity import ADAPTERS, COMPARE, TOLERANCES
from omnitrain_w2pgnn.paper.feasibility import fit_mixture
from omnitrain_w2pgnn.paper.transport import gromov_wasserstein

GOLDEN = Path(__file__).parent / "golden"


def test_comparisons_are_of_adapters():
    assert set(COMPARE) <= set(TOLERANCES) <= set(ADAPTERS)


def test_comparison_of_fits_rejects_a_distance_that_no_rounding_of_the_inputs_gives(monkeypatch):
    monkeypatch.setattr(parity, "ROUNDINGS", 3)
    case = json.loads((GOLDEN / "feasibility.json").read_text(encoding="utf-8"))["cases"][3]
    wanted, given = case["output"], case["input"]
    assert COMPARE["feasibility"](wanted, wanted, given) is None
    wrong = {**wanted, "dist_alpha": wanted["dist_alpha"] + 0.01}
    assert "dist_alpha" in COMPARE["feasibility"](wrong, wanted, given)


def test_comparison_of_fits_rejects_a_result_that_the_inputs_do_not_give():
    case = json.loads((GOLDEN / "feasibility.json").read_text(encoding="utf-8"))["cases"][3]
    wanted, given = case["output"], case["input"]
    wrong = {**wanted, "dist_alpha": wanted["dist_alpha"] + 0.01}
    assert "dist_alpha" in COMPARE["feasibility"](wanted, wrong, given)


@pytest.mark.parametrize(("case", "weights"), [(0, [0.7, 0.2, 0.1]), (1, [0, 1, 0]), (3, [0.625, 0.375])])
def test_sound_fit_finds_the_planted_mixture_of_the_golden_cases(case, weights):
    problem = json.loads((GOLDEN / "feasibility.json").read_text(encoding="utf-8"))["cases"][case]["input"]
    found = fit_mixture(np.array(problem["bases"]), np.array(problem["target"]))
    assert found.distance <= 1e-6
    np.testing.assert_allclose(found.weights, weights, atol=1e-6)


@pytest.mark.parametrize(("case", "limit"), [(2, 0.2901), (4, 0.2325)])
def test_sound_fit_is_no_worse_than_the_known_distances(case, limit):
    problem = json.loads((GOLDEN / "feasibility.json").read_text(encoding="utf-8"))["cases"][case]["input"]
    assert fit_mixture(np.array(problem["bases"]), np.array(problem["target"])).distance <= limit + 1e-4


def test_square_distance_is_at_most_that_of_the_golden_couplings():
    for case in json.loads((GOLDEN / "gw.json").read_text(encoding="utf-8"))["cases"]:
        first, second = (np.array(case["input"][name]) for name in "AB")
        assert gromov_wasserstein(first, second).squared <= max(case["output"]["pot_square"]["gw2"], 0) + 1e-7
