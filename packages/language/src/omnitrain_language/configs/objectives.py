"""Settings of token losses."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from omnitrain.api import Config


class NllConfig(Config):
    """Settings of both token losses."""

    z_loss: Annotated[float, Field(ge=0)] = 0.0
    """Coefficient of logsumexp(logits)^2; T5X uses 1e-4."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target's probability that is spread over the vocabulary."""
    group: str | None = None
    """Integer batch field by which the loss is reported in parts, such as `task_ids`."""


class Seq2SeqNllConfig(NllConfig):
    """Token cross entropy of an encoder-decoder."""


class CausalNllConfig(NllConfig):
    """Token cross entropy of a decoder-only model."""
