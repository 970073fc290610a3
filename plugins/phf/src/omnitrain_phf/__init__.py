"""Pretraining language models with human preferences (arXiv 2302.08582): scored text, six objectives, evaluations."""

__version__ = "0.1.0"
