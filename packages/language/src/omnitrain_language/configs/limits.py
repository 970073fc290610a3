"""Numbers within limits, as types of settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MOST_TOKENS = 4_000_000
"""Of a trained tokenizer; what trains it reserves memory for all of them, and ends the process where there is none."""

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
