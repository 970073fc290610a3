"""The paper's equations and rules as pure functions."""
