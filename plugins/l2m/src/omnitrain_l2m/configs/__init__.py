"""Settings of the components."""
