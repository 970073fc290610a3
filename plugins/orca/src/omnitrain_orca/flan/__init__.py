"""FLAN-shaped queries: records of files, and generated ones with two teachers."""
