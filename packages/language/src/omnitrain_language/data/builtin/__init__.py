"""Text and pairs that are on every machine, since Python brings them."""
