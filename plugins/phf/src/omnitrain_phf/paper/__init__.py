"""The paper's equations and rules (arXiv 2302.08582)."""
