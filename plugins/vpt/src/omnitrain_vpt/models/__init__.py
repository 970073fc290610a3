"""The policy, the inverse dynamics model, and how they act and label."""
