"""Settings of stages."""

from __future__ import annotations

from pydantic import model_validator

from omnitrain.api import Config, InputPath, UseModel


class MergeConfig(Config):
    """Write adapters into the weights below them, and leave the model without adapters."""

    model: UseModel | None = None
    """The model with adapters, of an earlier stage: `{from: stage}`. Beside it `dtype: float32` merges a model of bfloat16
    without rounding."""
    path: InputPath | None = None
    """Instead of `model`: the folder of a model with adapters that another run saved."""

    @model_validator(mode="after")
    def _one_model(self) -> MergeConfig:
        if (self.model is None) == (self.path is None):
            raise ValueError("write either 'model: {from: stage}' or 'path: folder of a saved model'")
        if self.model is not None and self.model.source is None:
            raise ValueError("model: fresh adapters change nothing; write '{from: stage}', or 'path' for a saved model")
        return self

    def artifacts(self) -> dict[str, str | UseModel]:
        """Return what the stage leaves; see omnitrain.api.TellsArtifacts."""
        return {"model": self.model if self.model is not None else "model"}
