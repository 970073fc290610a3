"""Scored text as blocks of tokens, and other data's batches with scores."""
