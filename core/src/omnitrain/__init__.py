"""The thin core of omnitrain. Authors of plugins import `omnitrain.api`."""

__version__ = "0.1.0"
