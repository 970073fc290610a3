"""Settings of evaluators."""

from __future__ import annotations

from omnitrain.api import Config
from omnitrain_language.configs.decoding import DecodingConfig
from omnitrain_language.configs.limits import Positive


class NllEvaluatorConfig(Config):
    """Mean negative log-likelihood per token and perplexity."""

    splits: list[str] | None = None
    """Which splits; nothing means: all but `train`."""
    batch_size: Positive = 16
    """Rows of a batch."""
    max_batches: Positive | None = None
    """Stop after this many batches of a split."""
    group: str | None = None
    """Integer batch field by which results are given in parts."""
    unigram: bool = False
    """Also report the entropy of the train split's unigrams: what a model that learned only frequencies reaches."""


class SamplesConfig(DecodingConfig):
    """Texts that the model writes."""

    prompts: list[str] | None = None
    """Prompts; nothing means: beginnings of rows of a split."""
    split: str = "valid"
    """The split that prompts are cut from."""
    count: Positive = 4
    """How many prompts are cut."""
    prompt_tokens: Positive = 16
    """Tokens of a prompt that is cut from a row without a prefix mask."""
    max_new_tokens: Positive = 48
    """Longest continuation in tokens."""
    prefix: str = ""
    """Text in front of every prompt, such as a mode token."""
