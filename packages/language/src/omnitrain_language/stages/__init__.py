"""Stages, one a module."""
