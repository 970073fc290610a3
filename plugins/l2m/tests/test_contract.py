"""The contract that every plugin keeps."""

from omnitrain_testing.contract import contract

test_contract = contract("l2m")
