"""How texts are written."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from omnitrain.api import Config
from omnitrain_language.configs.limits import NonNegative, Positive


class DecodingConfig(Config):
    """How texts are written. Nothing means everywhere: as the model's generation_config says, else greedily."""

    temperature: Annotated[float, Field(ge=0)] | None = None
    """Draw at this temperature; 0 is greedy, or a search with num_beams."""
    top_k: NonNegative | None = None
    """Draw among the k most probable tokens; 0 is all."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Draw among the most probable tokens that hold this much probability."""
    num_beams: Positive | None = None
    """Beams of a search; 1 is none."""
    no_repeat_ngram_size: NonNegative | None = None
    """No sequence of so many tokens comes twice, the prompt of a decoder-only model included; 0 allows all."""
    length_penalty: float | None = None
    """Of beams: above 0 favours longer texts, below 0 shorter ones."""
    early_stopping: bool | None = None
    """Of beams: end as soon as there are enough whole texts."""
    min_new_tokens: NonNegative | None = None
    """No text ends before so many tokens."""
    stop: list[Annotated[str, Field(min_length=1)]] | None = None
    """A text ends in front of the first of these."""
    skip_special_tokens: bool = True
    """Leave special tokens out of the texts; false where they mean something, as marks of thinking do."""

    def asked(self) -> dict[str, Any]:
        """Return what is set, as keyword arguments of `generate_text`."""
        values = {name: getattr(self, name) for name in DecodingConfig.model_fields}
        shown = {} if self.skip_special_tokens else {"skip_special_tokens": False}
        return {name: v for name, v in values.items() if v is not None and name != "skip_special_tokens"} | shown
