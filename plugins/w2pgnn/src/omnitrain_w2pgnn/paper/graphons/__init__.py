"""Graphons: estimated from graphs, resized, compared and sampled from."""
