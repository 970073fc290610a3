"""Settings by kind."""
