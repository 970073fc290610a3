"""Parameter-efficient tuning of any backbone, and learning tasks one after the other."""

__version__ = "0.1.0"
