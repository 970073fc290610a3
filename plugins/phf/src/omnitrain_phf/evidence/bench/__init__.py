"""Speed and memory beside what else there is."""
