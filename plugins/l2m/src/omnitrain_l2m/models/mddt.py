"""Model `l2m/mddt`: the decision transformer, alone or with a method that tunes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from omnitrain.api import Context, reading
from omnitrain.errors import DataError, UsageError
from omnitrain_l2m.configs.models import MddtConfig
from omnitrain_l2m.models.network import Mddt, Shape, load_weights
from omnitrain_l2m.models.tuned import Tuned
from omnitrain_l2m.paper.tokens import Tokeniser


def _read(path: Path) -> Mapping[str, Tensor]:
    with reading(path, "weights"):
        if path.suffix == ".safetensors":
            weights: dict[str, Tensor] = load_file(path)
            return weights
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise DataError(f"{path} is no table of tensors by name; expected the state dict of a decision transformer.")
    return {str(name): value for name, value in loaded.items()}


def build(config: MddtConfig, context: Context) -> Mddt | Tuned:
    """Make the model `l2m/mddt`.

    Raises UsageError where the data does not tell its sizes or tells others, and for episodes that are too long.
    """
    sizes: dict[str, int] = {}
    for name in ("states", "dimensions"):
        asked: int | None = getattr(config, name)
        told: int | None = context.facts.get(name)
        if (found := told if asked is None else asked) is None:
            raise UsageError(f"l2m/mddt lacks {name}: use it with l2m/tasks, or set it.")
        if asked is not None and told is not None and asked != told:
            raise UsageError(f"l2m/mddt: {name} is {asked}, but the data has {told}; leave it out to take the data's.")
        sizes[name] = int(found)
    longest = int(context.facts.get("longest", 0))
    if longest > config.steps:
        raise UsageError(
            f"l2m/mddt: trajectories have up to {longest} steps, the embedding of time {config.steps}; raise steps."
        )
    layers, heads, width = config.sizes()
    shape = Shape(sizes["states"], sizes["dimensions"], width, layers, heads, config.steps, dropout=config.dropout)
    model = Mddt(shape, Tokeniser(config.bins, config.shift, config.tokens))
    if config.weights is not None and torch.empty(0).device.type != "meta":
        load_weights(model, _read(Path(config.weights)), config.weights)
    return model if config.method is None else Tuned(model, config.method, config.tasks, config.task)
