"""From text to batches of denoising examples: segments, streams, layouts and packed rows."""
