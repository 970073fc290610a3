"""A small plugin that the core's own tests train with."""
