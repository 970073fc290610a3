"""Feasibility, selection, pre-training on selections, and what it gains."""
