"""Parameter-efficient tuning: each method a small class, two or more sets of parameters at the same places."""
