"""The contract that every plugin keeps, as far as a package without a paper has to."""

from omnitrain_testing.contract import contract

test_contract = contract("control")
