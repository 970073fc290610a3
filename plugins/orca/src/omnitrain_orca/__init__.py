"""Orca (arXiv 2306.02707): learn from the explanations of staged teachers, and sit exams."""

__version__ = "0.1.0"
