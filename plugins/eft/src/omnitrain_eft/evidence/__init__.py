"""What backs the plugin: golden vectors, claims with their measures, and benches."""
