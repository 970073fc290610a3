"""The unified spaces: what a domain is, and the table of those that are known."""
