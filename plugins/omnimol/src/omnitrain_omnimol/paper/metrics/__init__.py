"""Metrics of answers. Honest by default; `official=True` gives the numbers of the paper's code with its quirks."""
