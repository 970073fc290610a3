"""Data of this plugin."""
