"""Settings of data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseData
from omnitrain_language.configs.limits import Fraction, Positive
from omnitrain_language.configs.tokenizers import TokenizerConfig


class EmbeddedConfig(Config):
    """Tables cut out of what Python ships (HTTP statuses, letters, entities, months); no row is in two of them."""

    tables: Positive = 300
    """How many tables."""
    rows: Annotated[int, Field(ge=2, le=20)] = 5
    """Rows of a table."""
    texts: Positive = 8
    """Questions or sentences about each table, by templates."""


class TextsConfig(Config):
    """What all data about tables have in common."""

    embedded: EmbeddedConfig = EmbeddedConfig()
    """What `builtin` is made of."""
    valid_fraction: Fraction = 0.1
    """Share of the tables in split `valid`, with all of their texts, where the data set has no such split of its own; which
    ones is a stable hash of the table."""
    tokenizer: TokenizerConfig = TokenizerConfig(extra_tokens=["<mask>"])
    """How text becomes tokens. Denoising needs a mask: a tokenizer's own, or "<mask>" among its extra_tokens."""
    tokenizer_text: UseData | None = None
    """Documents on which a tokenizer is trained; nothing means: the texts and tables of split `train`."""
    lower_case: bool = False
    """Texts lose their capitals: TAPEX's checkpoints want it, OmniTab's don't."""
    inputs_length: Annotated[int, Field(ge=16)] = 1024
    """Longest inputs in tokens. Paper: 1024."""
    cell_tokens: Annotated[int, Field(ge=2)] = 15
    """Cells of at least so many tokens are cut to so many. Official code: 15."""


class QuestionsConfig(TextsConfig):
    """Questions about tables with their answers: for fine-tuning and for measuring."""

    path: InputPath = "builtin"
    """`builtin`, the folder of WikiTableQuestions or of WikiSQL, or a .jsonl file of {context, table: {header, rows},
    answers}."""
    valid_path: InputPath | None = None
    """A .jsonl file of validation questions."""
    test_path: InputPath | None = None
    """A .jsonl file of test questions."""
    ids: InputPath | None = None
    """A list of ids, one a line: the questions that are trained on (few-shot). Nothing means: all."""
    leading_blank: bool = True
    """A text gets a blank in front where it has none, as OmniTab's checkpoints want it."""
    targets_length: Annotated[int, Field(ge=4)] = 128
    """Longest answers in tokens; longer ones lose their end. Paper: 128."""
    too_long: Literal["tail", "drop-rows"] = "tail"
    """What becomes of tables that don't fit: their end is cut off (as OmniTab is fine-tuned), or rows that have nothing in
    common with question and answers are dropped by chance, anew in each epoch, and then the last ones (TAPEX's pipeline)."""

    @model_validator(mode="after")
    def _splits_of_one_kind(self) -> QuestionsConfig:
        if not self.path.endswith((".jsonl", ".ndjson")) and (self.valid_path or self.test_path):
            raise ValueError("valid_path and test_path go with a .jsonl file; other data sets have splits of their own")
        return self


class PretrainingConfig(TextsConfig):
    """The paper's mix: sentences about tables, each masked at random and at its mentions; questions and SQL with answers."""

    natural: InputPath | None = "builtin"
    """Sentences with tables and mentions: `builtin`, or a .jsonl file of {context, table: {header, rows}, mentions}. Where a
    record has no field mentions, they are found by string match (the paper's rule)."""
    synthetic: InputPath | None = None
    """Questions with tables and answers: `builtin`, or a .jsonl file of {context, table: {header, rows}, answers}."""
    sql: InputPath | None = None
    """Queries with tables and answers: `builtin`, sampled from templates and executed by SQLite, or a .jsonl file like that of
    `synthetic`."""
    masking: list[Literal["random", "salient"]] = Field(default=["random", "salient"], min_length=1)
    """What becomes of a sentence: one example for each. random: names, cells and words; salient: its mentions."""
    table: Literal["own", "shuffled"] = "own"
    """The table that a sentence is shown with; shuffled: that of the next sentence about another one, a control in which the
    table says nothing about the mentions."""
    context_length: Annotated[int, Field(ge=4)] = 128
    """Longest sentence or question in tokens; longer ones lose their end. Paper: 128."""
    table_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of names and cells that random masking takes. Paper: 0.2."""
    context_share: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Share of the sentence's tokens that random masking takes. Paper: 0.15."""
    most_masked: Positive = 200
    """Most tokens that random masking takes; names and cells come first. Paper: 200."""

    @model_validator(mode="after")
    def _has_texts(self) -> PretrainingConfig:
        if not (self.natural or self.synthetic or self.sql):
            raise ValueError("natural, synthetic and sql are all left out, so there is nothing to train on")
        if len(set(self.masking)) < len(self.masking):
            raise ValueError("masking names the same task twice")
        if self.context_length + 16 > self.inputs_length:
            raise ValueError(
                f"context_length {self.context_length} leaves no room for a table in inputs_length {self.inputs_length}"
            )
        return self
