"""Golden vectors of the official code, through the functions that training calls."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from omnitrain.evidence.comparing import Tolerance, first_difference
from omnitrain_w2pgnn.evidence.parity import ADAPTERS, COMPARE, TOLERANCES
from omnitrain_w2pgnn.paper.feasibility import fit_mixture
from omnitrain_w2pgnn.paper.transport import gromov_wasserstein

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path.stem for path in GOLDEN.glob("*.json"))


@pytest.fixture
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def test_every_golden_file_has_an_adapter():
    assert set(FILES) == set(ADAPTERS)
    assert set(COMPARE) <= set(TOLERANCES) <= set(ADAPTERS)


@pytest.mark.parametrize("name", FILES)
def test_golden_file_agrees_with_the_official_code(name, float64):
    shared = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    cases = shared.pop("cases")
    bounds = TOLERANCES.get(name, {})
    tolerance = Tolerance(bounds.get("relative", 1e-6), bounds.get("absolute", 1e-7))
    # The official fit takes two seconds a case; the command runs all, the test those that need the fewest epochs.
    for number, case in enumerate(cases[3:4] if name == "feasibility" else cases):
        actual = ADAPTERS[name](case["input"], shared)
        if name in COMPARE:
            difference = COMPARE[name](case["output"], actual, case["input"])
        else:
            difference = first_difference(case["output"], actual, tolerance, "output")
        assert difference is None, f"case {number}: {difference}"


def test_comparison_of_fits_rejects_a_wrong_distance():
    shared = json.loads((GOLDEN / "feasibility.json").read_text(encoding="utf-8"))
    wanted = shared["cases"][1]["output"]
    assert COMPARE["feasibility"](wanted, wanted, None) is None
    assert "dist_alpha" in COMPARE["feasibility"](wanted, {**wanted, "dist_alpha": wanted["dist_alpha"] + 0.01}, None)


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
