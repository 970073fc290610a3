"""The paper's equations and rules (arXiv 2303.16458)."""
