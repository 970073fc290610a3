"""Algorithms of Stable-Baselines3 in fleets: what they see, how they are trained, saved and played."""
