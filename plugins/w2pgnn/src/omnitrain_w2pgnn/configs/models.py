"""Settings of the model. Light: imports only omnitrain.api, pydantic and other settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from omnitrain.api import Config
from omnitrain_w2pgnn.configs.limits import Count


class GinConfig(Config):
    """A graph isomorphism network over eigenvectors, degree and seed flag (GCC)."""

    hidden: Count = 64
    """Width of node states. Code: 64."""
    output: Count = 64
    """Width of the graph embedding. Code: 64."""
    layers: Annotated[int, Field(ge=2)] = 5
    """Layers, the input included: message passing happens layers - 1 times. Code: 5."""
    degree_width: Count = 16
    """Width of the degree embedding. Code: 16."""
    max_degree: Count = 512
    """Degrees above are taken as this. Code: 512."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Dropout at the read-out. Code: 0.5."""
    head: Literal["none", "projection", "masking"] = "none"
    """What stands behind the encoder in pre-training: nothing (GCC), a projection (GraphCL), or heads for hidden nodes and
    edges (masking). Downstream it is left out."""
    positions: Annotated[int, Field(ge=0, le=512)] | None = None
    """Eigenvectors of each node; by default as many as the data has, else 32."""
    classes: Count | None = None
    """Classes of hidden nodes, with head masking; by default as many as the data has, else 16."""
