"""Rows of molecular tasks as data: reading, encoding, batches."""
