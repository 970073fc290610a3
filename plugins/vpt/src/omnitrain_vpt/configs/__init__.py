"""Settings, by kind of component. Nothing heavy is imported."""
