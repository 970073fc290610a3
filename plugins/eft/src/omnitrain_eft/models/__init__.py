"""Causal models and their composition: members with caches of their own, decoded as one model."""
