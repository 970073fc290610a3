"""Labelled images, and any labelled data as tasks."""
