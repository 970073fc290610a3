"""Emulated fine-tuning (arXiv 2310.12962): compose language models of two sizes while decoding."""

__version__ = "0.1.0"
