"""What is measured of a composition: the grid of scales, frontiers, shifts, speed, and what judges say."""
