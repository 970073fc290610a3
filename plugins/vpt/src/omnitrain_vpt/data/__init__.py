"""Recordings as windows of frames or as streams of chunks."""
