"""The contract that every plugin keeps, the golden files beside this one included."""

from pathlib import Path

from omnitrain_testing.contract import contract

test_contract = contract("omnimol", golden=Path(__file__).with_name("golden"))
