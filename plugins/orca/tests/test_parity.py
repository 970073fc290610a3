"""Golden vectors beyond the contract, which holds that all agree."""

from pathlib import Path

from omnitrain_orca.evidence.parity import ADAPTERS, TOLERANCES


def test_every_golden_file_has_an_adapter_and_a_tolerance():
    files = {path.stem for path in (Path(__file__).parent / "golden").glob("*.json")}
    assert files == set(ADAPTERS) == set(TOLERANCES)
