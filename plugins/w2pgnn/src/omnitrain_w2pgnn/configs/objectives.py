"""Settings of the objectives. Light: imports only omnitrain.api, pydantic and other settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from omnitrain.api import Config
from omnitrain_w2pgnn.configs.limits import Count


class ContrastConfig(Config):
    """The other view of the same graph is to be told from the other graphs of the batch."""

    form: Literal["info-nce", "nt-xent"] = "info-nce"
    """GCC's end-to-end loss over all rows, or GraphCL's, whose denominator has the negatives only."""
    temperature: Annotated[float, Field(gt=0)] = 0.07
    """Divides similarities. Code: 0.07 for GCC; GraphCL's has 0.2."""


class MocoConfig(Config):
    """GCC with momentum contrast: negatives come from a queue of earlier keys."""

    queue: Count = 16384
    """Keys in the queue. Code: 16384."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """How slowly the key encoder follows. Code: 0.999."""
    temperature: Annotated[float, Field(gt=0)] = 0.07
    """Divides similarities. Code: 0.07."""


class MaskingConfig(Config):
    """Cross-entropy of hidden nodes' classes, and of hidden edges against pairs without an edge."""

    edge_weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the edges' part."""
