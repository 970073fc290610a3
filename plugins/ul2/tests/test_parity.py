"""Golden vectors of the official code, through the functions that training calls."""

import json
from pathlib import Path

import pytest

from omnitrain_ul2.evidence.parity import ADAPTERS, COMPARE, TOLERANCES, adafactor, first_difference

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path.stem for path in GOLDEN.glob("*.json"))


def test_every_golden_file_has_an_adapter():
    assert set(FILES) == set(ADAPTERS)
    assert set(TOLERANCES) == set(COMPARE)


@pytest.mark.parametrize("name", FILES)
def test_golden_file_agrees_with_the_official_code(name):
    shared = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    cases = shared.pop("cases")
    assert cases
    for number, case in enumerate(cases):
        actual = ADAPTERS[name](case["input"], shared)
        if name in COMPARE:
            difference = COMPARE[name](case["output"], actual, case["input"])
        else:
            difference = first_difference(case["output"], actual, 0.0)
        assert difference is None, f"case {number}: {difference}"


def test_adafactor_agrees_in_float32_too():
    shared = json.loads((GOLDEN / "adafactor.json").read_text(encoding="utf-8"))
    for case in shared["cases"]:
        found = adafactor(case["input"], shared, "float32")
        assert first_difference(case["output"], found, 1e-6) is None
        assert first_difference(case["output"], found, 1e-12) is not None


def test_comparison_names_the_first_difference():
    assert first_difference({"a": [1, 2]}, {"a": [1, 3]}, 0.0) == "output.a[1]: 3, expected 2"
    assert first_difference({"a": 1}, {"b": 1}, 0.0) == "output: keys ['b'], expected ['a']"
    assert first_difference([None], [0], 0.0) == "output[0]: 0, expected None"
    assert first_difference([1.0], [1.0 + 1e-10], 1e-9) is None
    assert first_difference([1.0], [float("nan")], 1e-9) is not None


def test_statistics_comparison_rejects_a_wrong_law():
    shared = json.loads((GOLDEN / "noise_statistics.json").read_text(encoding="utf-8"))
    case = next(c for c in shared["cases"] if c["output"]["noise_spans_every_draw"] > 1)
    wrong = json.loads(json.dumps(case["output"]))
    wrong["noise_span_length"]["std"] *= 0.5
    assert COMPARE["noise_statistics"](case["output"], wrong, case["input"]) is not None
