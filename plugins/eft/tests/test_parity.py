"""Golden vectors beyond the contract, which holds that all agree."""

import json
from pathlib import Path

import pytest
import torch

from omnitrain_eft.evidence.parity import ADAPTERS, TOLERANCES

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path.stem for path in GOLDEN.glob("*.json"))


def test_every_golden_file_has_an_adapter_and_a_tolerance():
    assert set(FILES) == set(ADAPTERS) == set(TOLERANCES)


@pytest.mark.parametrize("name", ["next_token", "reward_interpolation"])
def test_golden_files_agree_in_float32_as_closely_as_it_allows(name):
    shared = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    assert torch.get_default_dtype() is torch.float32
    for case in shared.pop("cases"):
        actual = ADAPTERS[name](case["input"], shared)
        assert actual["probs"] == pytest.approx(case["output"]["probs"], abs=1e-6)
