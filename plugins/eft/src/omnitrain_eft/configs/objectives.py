"""Settings of the objective."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from omnitrain.api import Config


class DpoConfig(Config):
    """Direct preference optimisation (arXiv 2305.18290, eq. 7) against the model that training starts from."""

    beta: Annotated[float, Field(gt=0)] = 0.1
    """Strength of the pull to the reference; the scale of the implicit reward. Paper: not named, DPO's own 0.1."""
