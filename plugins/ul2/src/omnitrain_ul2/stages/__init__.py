"""Models side by side: on every denoiser, and on tasks with gains over anchors."""
