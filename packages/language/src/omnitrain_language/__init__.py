"""What the text plugins share: text sources, tokenizers, token streams, packing, models, losses and generation."""

__version__ = "0.1.0"
