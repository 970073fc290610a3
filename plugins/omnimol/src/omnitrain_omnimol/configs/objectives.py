"""Settings of objectives."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from omnitrain.api import Config


class AnswersConfig(Config):
    """Token cross entropy at the positions of answers, and the experts' balance loss beside it."""

    balance: Annotated[float, Field(ge=0)] = 0.01
    """Coefficient of the sum of the experts' balance losses. Paper: 0.01."""
    even_tasks: bool = False
    """Mean over tasks of L_t / (L_t without gradient + 1e-5), so that all tasks pull alike; off in the code."""
