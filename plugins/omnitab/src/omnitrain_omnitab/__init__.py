"""OmniTab: pre-training with natural and synthetic data for few-shot table question answering (arXiv 2207.03637)."""

__version__ = "0.1.0"
