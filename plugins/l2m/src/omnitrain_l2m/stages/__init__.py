"""Stages of this plugin."""
