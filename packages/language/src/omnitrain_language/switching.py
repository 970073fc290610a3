"""Adapters switched off for a while: the model that training began with, as preferences' references and small bases need it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from omnitrain.errors import UsageError


def adapter_layers(model: nn.Module) -> list[Any]:
    """Return the layers below a model that hold adapters, whatever wraps it (torch.compile, DDP, a plugin's own module).

    Such a layer tells by `disable_adapters`, a bool, whether it is off, and `enable_adapters(bool)` switches it: those of
    peft, its rows of added tokens and its trained copies of embedding and head among them, and any of a plugin's own.
    """
    # transformers gives its models methods of these names; theirs is no bool.
    return [layer for layer in model.modules() if isinstance(getattr(layer, "disable_adapters", None), bool)]


def has_adapters(model: nn.Module) -> bool:
    """Whether a model has adapters that can be switched off."""
    return bool(adapter_layers(model))


@contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """Run a model as it was before its adapters, rows of added tokens and trained embeddings or heads included.

    Inside, call it under torch.no_grad: what is off gets no gradient. What is trained, and what was off already, is as before
    behind the block, so blocks may lie within each other. Raises UsageError for a model without adapters.
    """
    layers = adapter_layers(model)
    if not layers:
        raise UsageError(
            f"{type(model).__name__} has no adapters that could be switched off to get the model that training began with: set "
            "lora on the model, or take a frozen copy of it"
        )
    on = [layer for layer in layers if not layer.disable_adapters]
    trained = [(parameter, parameter.requires_grad) for layer in on for parameter in layer.parameters()]
    try:
        for layer in on:
            layer.enable_adapters(False)
        yield
    finally:
        for layer in on:
            layer.enable_adapters(True)
        # peft takes adapters that it switches on for trained ones, also those of a frozen model.
        for parameter, requires_grad in trained:
            parameter.requires_grad_(requires_grad)
