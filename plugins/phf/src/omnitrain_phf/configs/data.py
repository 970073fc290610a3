"""Settings of data. Light: imports only omnitrain.api, pydantic and other settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseData
from omnitrain_language.configs.limits import Fraction, NonNegative, Positive
from omnitrain_language.configs.needs import reading_needs
from omnitrain_language.configs.tokenizers import TokenizerConfig
from omnitrain_phf.configs.scorers import Score, ScorerConfig, ScrubadubConfig
from omnitrain_phf.configs.stages import ScoreConfig


class ControlConfig(Config):
    """Control tokens in front of segments (conditional training)."""

    threshold: Score = 0.0
    """Segments with at most this score are good. Code: 5.6e-4 (toxicity), 0 (PII, PEP8)."""
    drop_token_fraction: Fraction = 0.01
    """Share of segments that get no token. Code: 0.01 (toxicity, PII), 0.1 (PEP8)."""
    aligned: str = Field(default="<|aligned|>", min_length=1)
    """Token of good segments. Paper: <|good|>."""
    misaligned: str = Field(default="<|misaligned|>", min_length=1)
    """Token of bad segments. Paper: <|bad|>."""

    @model_validator(mode="after")
    def _different(self) -> ControlConfig:
        if self.aligned == self.misaligned:
            raise ValueError("aligned and misaligned must be two different tokens")
        return self


class ScoredTextConfig(Config):
    """Blocks of tokens, each token with the score of its segment, from scored records (.jsonl or .parquet)."""

    path: InputPath | None = None
    """A file, folder or glob pattern of records {"texts", "scores", "avg_score"}, as the stage phf/score writes them, or
    `hub:OWNER/NAME`."""
    score: ScoreConfig | None = None
    """Instead of `path`: score this text first, as the stage phf/score does."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """How text becomes tokens; control tokens come behind its own ids."""
    length: Annotated[int, Field(ge=2)] = 128
    """Tokens of a block. Paper: 1024."""
    control: ControlConfig | None = None
    """Control tokens; nothing means none."""
    filter_threshold: Score | None = None
    """Documents whose avg_score is above are left out of split `train`. Code: 7.8e-4, 2.86e-4, 2.361e-3: near the median."""
    skip_tokens: NonNegative = 0
    """Leave out the first blocks of the stream that hold this many tokens, which an earlier stage has seen; the filter is off
    meanwhile, so that all objectives go on at the same place."""
    skip_counting: Literal["exact", "official"] = "exact"
    """`official` leaves out one block fewer, as the official code does."""
    buffer_characters: Positive | None = None
    """Whole documents of about this many characters are cut into blocks together. Code: length x 3.6 x 1024, the default."""
    tails: Literal["carry", "drop"] = "carry"
    """What is left of a buffer behind its last whole block begins the next buffer, or is dropped as in the official code."""
    unsegmented: Literal["one-segment", "no-control"] = "one-segment"
    """Records {"text", "score"} without segments: one segment with a control token, or none as in the official code."""
    shuffle_buffer: NonNegative = 20_000
    """Blocks among which the next one is drawn; 0 keeps the order. Code: 20 000."""
    valid_fraction: Fraction = 0.05
    """Share of the documents in split `valid`, by a stable hash of their text."""
    test_fraction: Fraction = 0.0
    """Share of the documents in split `test`."""
    permute_scores: bool = False
    """Exchange the scores of all segments at random: the control of every experiment, after which nothing may be learned."""
    malformed: Literal["refuse", "skip"] = "refuse"
    """What to do with records that can't be used: stop with their file and line, or leave them out and count them."""

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        return reading_needs(self.path, distribution="omnitrain-phf")

    @model_validator(mode="after")
    def _leaves_train(self) -> ScoredTextConfig:
        if self.valid_fraction + self.test_fraction >= 1:
            raise ValueError("valid_fraction + test_fraction must be below 1, so that documents are left for training")
        return self


class ScoredBatchesConfig(Config):
    """Any data of token batches for decoder-only models, with a score for each token that has loss."""

    data: UseData
    """What is scored: batches with input_ids, labels and loss_weights of one length, such as those of language/pairs,
    ul2/denoising or eft/dialogues in their decoder-only layout."""
    scorer: ScorerConfig = ScrubadubConfig()
    """What scores; scores are computed while training and kept, so that a text that comes again costs nothing."""
    segments: Literal["completion", "sentences", "lines"] = "completion"
    """What has one score: a stretch of tokens with loss between special tokens (a completion, a span), or its sentences or
    lines."""
    control: ControlConfig | None = None
    """A control token in front of each segment, which makes rows longer; nothing means none. Behind an input without loss,
    it is part of the input."""
    remembered: Positive = 100_000
    """Stretches whose scores are kept."""
