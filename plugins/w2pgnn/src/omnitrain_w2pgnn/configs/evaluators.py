"""Settings of the evaluators. Light: imports only omnitrain.api, pydantic and other settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, UseData
from omnitrain_w2pgnn.configs.limits import Count


class DownstreamConfig(Config):
    """How a target's rows become subgraphs and are scored."""

    view: Literal["walks", "egos"] = "walks"
    """Around a labelled node: random-walk subgraphs as in GCC, or ego networks. Whole graphs are taken as they are."""
    visits: Count = 256
    """Nodes that a walk visits."""
    views: Count = 2
    """Walks a node, whose embeddings are averaged. Code: 2."""
    folds: Annotated[int, Field(ge=2)] = 10
    """Folds of stratified cross-validation. Code: 10."""
    metric: Literal["micro-f1", "roc-auc"] = "micro-f1"
    """Score of a fold. Paper: micro-F1 for nodes, ROC-AUC for molecules."""
    max_rows: Count | None = None
    """At most so many labelled rows, drawn evenly."""


class FrozenConfig(DownstreamConfig):
    """A frozen encoder: logistic regression on its embeddings, by cross-validation."""

    targets: dict[str, UseData] = Field(min_length=1)
    """Name to labelled graphs."""
    inverse_penalty: Annotated[float, Field(gt=0)] = 1000.0
    """C of the logistic regression, one against the rest. Code: 1000."""

    @model_validator(mode="after")
    def _names_are_plain(self) -> FrozenConfig:
        bad = [name for name in self.targets if not name.strip() or "/" in name]
        if bad:
            raise ValueError(f"targets: the name {bad[0]!r} is empty or holds a slash")
        return self
