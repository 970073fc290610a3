"""What a model is measured by: misalignment, distance from a reference, capabilities, red teaming."""
