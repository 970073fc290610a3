"""Small worlds with experts that need no simulator."""
