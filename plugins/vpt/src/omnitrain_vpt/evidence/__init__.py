"""What is claimed, checked against the official code, and timed."""
