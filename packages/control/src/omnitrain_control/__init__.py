"""What the decision plugins of omnitrain share."""

__version__ = "0.1.0"
