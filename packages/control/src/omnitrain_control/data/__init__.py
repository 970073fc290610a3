"""Recorded trajectories as examples: of steps, of windows, of transitions."""
