"""Settings of tokenizers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath
from omnitrain_language.configs.limits import MOST_TOKENS, NonNegative, Positive


class TokenizerConfig(Config):
    """A byte-level BPE tokenizer trained offline on the train split, or one from a folder or the hub.

    Layout of a trained one: pad 0, eos 1, unk 2, bytes and merges, `extra_tokens`, sentinels. <extra_id_0> is
    the last id.
    """

    path: InputPath | None = None
    """A folder with a saved tokenizer or a hub name; nothing means: train one."""
    revision: str | None = None
    """Commit or tag of a hub tokenizer."""
    vocabulary_size: Annotated[int, Field(ge=260, le=MOST_TOKENS)] = 4096
    """Number of ids of a trained tokenizer, special tokens included; a small text may give fewer."""
    sentinels: NonNegative = 0
    """How many <extra_id_i> tokens; <extra_id_0> has the highest id and they count down."""
    extra_tokens: list[str] = Field(default_factory=list)
    """Further special tokens, such as mode tokens, in the ids just below the sentinels."""
    train_characters: Positive = 20_000_000
    """A tokenizer is trained on at most this many characters of the train split."""

    @model_validator(mode="after")
    def _has_room(self) -> TokenizerConfig:
        if len(set(self.extra_tokens)) != len(self.extra_tokens) or "" in self.extra_tokens:
            raise ValueError("extra_tokens must be different from each other and not empty")
        if self.path is None and self.vocabulary_size < 259 + self.sentinels + len(self.extra_tokens):
            raise ValueError(
                f"vocabulary_size {self.vocabulary_size} is too small: 3 special tokens, 256 bytes, "
                f"{self.sentinels} sentinels and {len(self.extra_tokens)} extra tokens need "
                f"{259 + self.sentinels + len(self.extra_tokens)}"
            )
        return self
