"""For authors: a complete plugin to start from."""
