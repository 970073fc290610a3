"""Settings of the reference of preferences."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator

from omnitrain.api import Config, UseModel
from omnitrain_language.configs.limits import Positive


class ReferenceConfig(Config):
    """The model against which preferences are measured: `start`, `adapters-off`, `stored`, `none`, or a model of its own.

    A word alone is a kind, and `{from: stage}` or `{use: language/causal, path: ...}` a model.
    """

    kind: Literal["start", "adapters-off", "model", "stored", "none"] = "start"
    """`start`: the model that training starts from. `adapters-off`: that model without its adapters. `model`: another one.
    `stored`: numbers that stand in the records. `none`: no reference, as ORPO needs none."""
    model: UseModel | None = None
    """Of `model`: the model, frozen: `{from: stage}`, or a component with its `path`."""
    batch_size: Positive = 16
    """Pairs that it reads at once."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"kind": value}
        if isinstance(value, dict) and ("from" in value or "use" in value):
            return {"kind": "model", "model": value}
        return value

    @model_validator(mode="after")
    def _complete(self) -> ReferenceConfig:
        if (self.kind == "model") != (self.model is not None):
            raise ValueError("kind model needs model, {from: stage} or {use: ..., path: ...}; other kinds have none")
        return self
