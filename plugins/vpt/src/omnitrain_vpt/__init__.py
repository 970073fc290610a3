"""Video PreTraining: learning to act by watching unlabelled video."""

__version__ = "0.1.0"
