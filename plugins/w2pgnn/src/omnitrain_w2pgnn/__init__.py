"""W2PGNN: when to pre-train graph neural networks (KDD 2023)."""

__version__ = "0.1.0"
