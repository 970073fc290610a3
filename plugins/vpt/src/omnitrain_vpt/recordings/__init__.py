"""Recordings in the contractor format: their files, frames and clips."""
