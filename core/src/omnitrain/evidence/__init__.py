"""Evidence: golden vectors of the official code, claims measured again, benchmarks."""
