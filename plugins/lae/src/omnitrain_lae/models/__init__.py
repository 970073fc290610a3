"""Backbones, the learner that tunes them, and what learning leaves."""
