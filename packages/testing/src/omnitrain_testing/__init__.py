"""The contract kit: what a plugin must hold to."""

__version__ = "0.1.0"
