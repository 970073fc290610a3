"""Low-rank adapters of linear layers, of gradient adaptive, rank-stabilised or plain scale; merging uses the same scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnitrain.errors import UsageError
from omnitrain_omnimol.paper.adaptation import Kind, fixed_scale, gal_scale, gal_start


@dataclass(frozen=True)
class AdapterSettings:
    """rank: r. alpha: where the scale's numerator starts. dropout: on the adapter's input. kind: how the scale comes about."""

    rank: int = 64
    alpha: float = 16.0
    dropout: float = 0.05
    kind: Kind = "gal"


class Adapter(nn.Module):
    """The change that is added to a linear layer: scale x B A dropout(x); B begins at zero."""

    def __init__(self, inputs: int, outputs: int, settings: AdapterSettings, device: torch.device | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.lora_A = nn.Parameter(torch.empty(settings.rank, inputs, device=device))
        self.lora_B = nn.Parameter(torch.zeros(outputs, settings.rank, device=device))
        self.dropout = nn.Dropout(settings.dropout)
        adaptive = settings.kind == "gal"
        self.theta = nn.Parameter(torch.tensor(gal_start(settings.alpha), device=device)) if adaptive else None
        nn.init.kaiming_uniform_(self.lora_A, a=sqrt(5))

    @property
    def scale(self) -> Tensor | float:
        """The scale as it is now."""
        settings = self.settings
        if self.theta is None:
            return fixed_scale(settings.kind, settings.alpha, settings.rank)
        return gal_scale(self.theta, settings.alpha, settings.rank)

    def forward(self, x: Tensor) -> Tensor:
        """Return the change float[..., outputs] of inputs float[..., inputs], in the type of the inputs."""
        low = functional.linear(self.dropout(x).to(self.lora_A.dtype), self.lora_A)
        return (self.scale * functional.linear(low, self.lora_B)).to(x.dtype)

    def change(self) -> Tensor:
        """Return what merging adds to the weight, float[outputs, inputs]."""
        return self.scale * (self.lora_B @ self.lora_A)


class AdaptedLinear(nn.Module):
    """A frozen linear layer and its adapter. `adapters_off` of omnitrain-language switches the adapter off."""

    def __init__(self, base: nn.Linear, settings: AdapterSettings) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.adapter = Adapter(base.in_features, base.out_features, settings, base.weight.device)
        self.disable_adapters = False

    def enable_adapters(self, enabled: bool) -> None:
        """Switch the adapter on or off."""
        self.disable_adapters = not enabled

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + b and, where it is on, the adapter's change."""
        out: Tensor = self.base(x)
        return out if self.disable_adapters else out + self.adapter(x)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return the base layer with the adapter's change written into its weight."""
        self.base.weight += self.adapter.change().to(self.base.weight.dtype)
        return self.base


def adapt(model: nn.Module, settings: AdapterSettings, wanted: Callable[[str], bool] = lambda name: True) -> list[str]:
    """Freeze a model and put adapters on its linear layers, in place; return the names of these layers.

    wanted: tells by a layer's name whether it gets one. Raises UsageError where none does.
    """
    model.requires_grad_(False)
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear) and wanted(name)]
    if not found:
        raise UsageError(f"adapters: {type(model).__name__} has no linear layer of these names; name others")
    for name, layer in found:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, AdaptedLinear(layer, settings))
    return [name for name, _ in found]


def merge(model: nn.Module) -> None:
    """Write all adapters of linear layers below a model into the weights, in place."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, AdaptedLinear):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, layer.merged())
