"""The mixture of experts in place of an MLP: one frozen MLP that all share, and adapters of each expert."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.errors import UsageError
from omnitrain_omnimol.models.gal import Adapter, AdapterSettings
from omnitrain_omnimol.paper.experts import balance_loss, expert_load, route

PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class ExpertSettings:
    """experts: how many are routed. top_k: how many a token goes to. shared: the anchor, which every token goes to.

    normalise: divide the k weights by their sum. per_sequence: balance within each sequence. keeps_function: divide by the
    sum of all weights, so that training starts from the MLP itself.
    """

    experts: int = 5
    top_k: int = 2
    shared: bool = True
    normalise: bool = False
    per_sequence: bool = False
    keeps_function: bool = False


class ExpertAdapters(nn.Module):
    """What makes one expert of the shared MLP: an adapter of each of its three projections."""

    def __init__(self, mlp: Any, settings: AdapterSettings) -> None:
        super().__init__()
        for name in PROJECTIONS:
            layer: nn.Linear = getattr(mlp, name)
            self.add_module(name, Adapter(layer.in_features, layer.out_features, settings, layer.weight.device))


class Experts(nn.Module):
    """sum over the top k of P_e E_e(x), plus the shared expert's E(x), where E_e is the frozen MLP with adapters of its own.

    What is linear in the frozen weights is computed once for all experts: gate and up before routing, down behind the sum.
    auxiliary: the balance loss of the last pass in training, else None. load: float[experts] of that pass.
    """

    def __init__(self, mlp: Any, settings: ExpertSettings, adapters: AdapterSettings) -> None:
        super().__init__()
        if any(not isinstance(getattr(mlp, name, None), nn.Linear) for name in PROJECTIONS) or mlp.down_proj.bias is not None:
            raise UsageError(
                f"experts: {type(mlp).__name__} is no gated MLP of gate_proj, up_proj and down_proj: take a Llama-style model, "
                "or set experts.place to none"
            )
        self.settings = settings
        self.mlp = mlp.requires_grad_(False)
        weight = mlp.gate_proj.weight
        self.router = nn.Linear(mlp.gate_proj.in_features, settings.experts, bias=False, device=weight.device)
        nn.init.kaiming_uniform_(self.router.weight, a=sqrt(5))
        self.experts = nn.ModuleList(ExpertAdapters(mlp, adapters) for _ in range(settings.experts))
        self.shared = ExpertAdapters(mlp, adapters) if settings.shared else None
        self.disable_adapters = False
        self.auxiliary: Tensor | None = None
        self.load: Tensor | None = None

    def enable_adapters(self, enabled: bool) -> None:
        """Switch to all experts, or to the MLP alone that training began with."""
        self.disable_adapters = not enabled

    def forward(self, x: Tensor) -> Tensor:
        """Return float[batch, length, hidden]."""
        self.auxiliary = self.load = None
        if self.disable_adapters:
            out: Tensor = self.mlp(x)
            return out
        settings = self.settings
        probabilities, weights, chosen = route(self.router(x.to(self.router.weight.dtype)), settings.top_k, settings.normalise)
        if self.training:
            self.auxiliary = balance_loss(probabilities, chosen, settings.per_sequence)
            self.load = expert_load(chosen.flatten(0, 1), settings.experts)
        weights = weights.to(x.dtype)
        return self._mixed(x.flatten(0, 1), weights.flatten(0, 1), chosen.flatten(0, 1)).view_as(x)

    def _mixed(self, tokens: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """Return float[tokens, hidden]. weights, chosen: [tokens, k]."""
        gate, up = self.mlp.gate_proj(tokens), self.mlp.up_proj(tokens)
        inner, change = torch.zeros_like(gate), torch.zeros_like(tokens)
        total = weights.sum(dim=1, keepdim=True)
        if self.shared is not None:
            inner, change = self._expert(self.shared, tokens, gate, up)
            total = total + 1
        for number, expert in enumerate(self.experts):
            rows, slots = torch.where(chosen == number)
            own, own_change = self._expert(expert, tokens[rows], gate[rows], up[rows])
            weight = weights[rows, slots, None]
            inner = inner.index_add(0, rows, weight * own)
            change = change.index_add(0, rows, weight * own_change)
        out: Tensor = self.mlp.down_proj(inner) + change
        return out / total if self.settings.keeps_function else out

    def _expert(self, expert: Any, tokens: Tensor, gate: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
        """Return an expert's inner activation, and what its adapter of the last projection makes of it."""
        inner = self.mlp.act_fn(gate + expert.gate_proj(tokens)) * (up + expert.up_proj(tokens))
        return inner, expert.down_proj(inner)
