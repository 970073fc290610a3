"""The data components, one module each, and what they build in."""
