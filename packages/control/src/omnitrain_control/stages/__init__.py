"""Stages, one module each."""
