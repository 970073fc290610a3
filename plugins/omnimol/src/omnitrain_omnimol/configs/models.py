"""Settings of models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from omnitrain.api import Config, InputPath, UseModel
from omnitrain_omnimol.configs.limits import Positive, Rate


class GraphConfig(Config):
    """The frozen graph encoder."""

    path: InputPath | None = None
    """MoleculeSTM's checkpoint of the graph; nothing means: random weights, of which is warned."""
    layers: Positive = 5
    """Layers. Paper: 5."""
    width: Positive = 300
    """Numbers of a node. Paper: 300."""


class AdaptersConfig(Config):
    """Low-rank adapters on every linear layer of the language model but the head, and in every expert."""

    rank: Positive = 64
    """Rank. Paper: 64."""
    alpha: Annotated[float, Field(gt=0)] = 16.0
    """Numerator of the scale, or where it starts. Paper: 16."""
    dropout: Rate = 0.05
    """Dropout on the adapter's input. Paper: 0.05."""
    kind: Literal["gal", "rslora", "lora"] = "gal"
    """`gal`: a scale that starts at alpha / sqrt(rank) and is learned within a box. `rslora`: that scale, fixed. `lora`:
    alpha / rank."""


class ExpertsConfig(Config):
    """The mixture of experts in place of MLPs."""

    place: Literal["second_quarter", "first_half", "second_half", "sparse", "dense", "none"] = "second_quarter"
    """Layers that get experts; `second_quarter` is what the code calls the last quarter."""
    experts: Annotated[int, Field(ge=2)] = 5
    """How many are routed. Paper: 5."""
    top_k: Positive = 2
    """How many a token goes to. Paper: 2."""
    shared: bool = True
    """An expert that every token goes to, the anchor."""
    normalise: bool = False
    """Divide the weights of the top k by their sum; the code's switch has no effect."""
    per_sequence: bool = False
    """Balance experts within each sequence instead of over the batch."""
    keeps_function: bool = False
    """Divide by the sum of all weights, so that training starts from the language model itself; in the paper each
    MLP starts up to twice as large."""

    @model_validator(mode="after")
    def _enough(self) -> ExpertsConfig:
        if self.top_k > self.experts:
            raise ValueError(f"top_k {self.top_k} is more than the {self.experts} experts")
        return self


class ModelConfig(Config):
    """A Llama-style model that reads molecular graphs, tuned through adapters and experts."""

    language: UseModel
    """The language model, `language/causal` in Llama style, new, by path or `{from: stage}`, without lora."""
    graph: GraphConfig = GraphConfig()
    """The graph encoder."""
    projector: Literal["linear", "mlp"] = "linear"
    """From a node to an embedding: one linear layer, or linear, SiLU, linear."""
    adapters: AdaptersConfig = AdaptersConfig()
    """How the language model is tuned."""
    experts: ExpertsConfig = ExpertsConfig()
    """Experts in its layers."""
