"""Settings of evaluators."""

from __future__ import annotations

from omnitrain_language.configs.decoding import DecodingConfig
from omnitrain_language.configs.limits import NonNegative, Positive


class AnswersConfig(DecodingConfig):
    """Answers that a model writes to questions about tables: denotation accuracy, with TAPEX's and WikiSQL's beside it."""

    split: str = "valid"
    """The split whose questions are asked."""
    rows: Positive | None = None
    """Questions, spread evenly over the split; nothing means: all."""
    batch_size: Positive = 16
    """Questions answered at once; those of like length go together."""
    max_new_tokens: Positive = 128
    """Longest answer in tokens. Paper: 128."""
    wrong: NonNegative = 4
    """How many wrong answers are shown with their tables."""
