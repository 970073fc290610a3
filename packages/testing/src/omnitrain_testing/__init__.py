"""For authors of plugins: contexts and whole recipes for their tests, the contract, and a plugin to start from."""

__version__ = "0.1.0"
