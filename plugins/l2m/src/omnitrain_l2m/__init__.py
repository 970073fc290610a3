"""L2M: learning to modulate pre-trained models in reinforcement learning (arXiv 2306.14884)."""

__version__ = "0.1.0"
