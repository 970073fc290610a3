"""Settings: read to check a recipe, so they import nothing heavy."""
