"""Evaluators of this plugin."""
