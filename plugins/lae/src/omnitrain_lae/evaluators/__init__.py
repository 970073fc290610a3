"""What a learned model answers, and how often it is right."""
