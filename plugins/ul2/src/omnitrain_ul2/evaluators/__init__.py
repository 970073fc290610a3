"""What is measured of a model: losses on each denoiser, samples, tokens seen and tasks under every mode."""
