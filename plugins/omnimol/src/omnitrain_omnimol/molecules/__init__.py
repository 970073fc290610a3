"""Molecules: their texts and graphs, those that are enumerated by rules, and labels that rdkit computes."""
