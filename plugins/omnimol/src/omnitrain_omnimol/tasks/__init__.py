"""Molecular tasks: one table of prompts, graphs and metrics, and readers of their files."""
