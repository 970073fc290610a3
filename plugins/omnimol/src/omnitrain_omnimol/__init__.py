"""Omni-Mol: one model for molecular tasks, which reads instructions, SELFIES and molecular graphs."""

__version__ = "0.1.0"
