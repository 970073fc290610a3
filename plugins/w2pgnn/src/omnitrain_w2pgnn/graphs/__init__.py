"""Collections of graphs: read, sampled, cut, augmented, and laid out as tensors."""
