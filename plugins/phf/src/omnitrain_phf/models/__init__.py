"""The language model with control tokens and a value head, and what makes it write."""
