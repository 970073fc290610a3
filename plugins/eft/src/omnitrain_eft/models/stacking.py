"""Several small models of one architecture as one: rows of all of them go through each layer in one product.

A small model's step is bound by the number of calls, not by arithmetic: stacked, the pair costs about one of them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

_NORMS = ("RMSNorm",)


class _Stacked(nn.Module):
    """A layer whose parameters have a leading dimension: one entry for each group of rows."""

    def __init__(self, layers: Sequence[Any], weight: nn.Parameter | None = None) -> None:
        super().__init__()
        self.groups = len(layers)
        self.weight = _stack([layer.weight for layer in layers]) if weight is None else weight
        biases = [getattr(layer, "bias", None) for layer in layers]
        self.bias: Tensor | None = None if biases[0] is None else _stack(biases)

    def _split(self, x: Tensor) -> Tensor:
        """Return [groups, rows of a group and positions, width]."""
        return x.reshape(self.groups, -1, x.shape[-1])


class StackedLinear(_Stacked):
    """`nn.Linear` and GPT-2's transposed `Conv1D`."""

    def __init__(self, layers: Sequence[Any], weight: nn.Parameter | None = None) -> None:
        super().__init__(layers, weight)
        self.transposed = isinstance(layers[0], nn.Linear)

    def forward(self, x: Tensor) -> Tensor:
        """Apply each group's matrix to its rows."""
        weight = self.weight.transpose(1, 2) if self.transposed else self.weight
        rows = self._split(x)
        out = torch.bmm(rows, weight) if self.bias is None else torch.baddbmm(self.bias[:, None], rows, weight)
        return out.view(*x.shape[:-1], weight.shape[-1])


class StackedEmbedding(_Stacked):
    """`nn.Embedding`: the ids of each group are looked up in its own table."""

    def forward(self, ids: Tensor) -> Tensor:
        """Look up ids [rows of all groups, length].

        Raises ValueError for ids without a row for each group: positions must be given explicitly.
        """
        if len(ids) % self.groups:
            raise ValueError(f"{len(ids)} rows of ids can't be shared by {self.groups} stacked models")
        offset = torch.arange(self.groups, device=ids.device) * self.weight.shape[1]
        shifted = ids.reshape(self.groups, -1) + offset[:, None]
        return functional.embedding(shifted.view(ids.shape), self.weight.flatten(0, 1))


class StackedLayerNorm(_Stacked):
    """`nn.LayerNorm`."""

    def __init__(self, layers: Sequence[Any], weight: nn.Parameter | None = None) -> None:
        super().__init__(layers, weight)
        self.shape, self.eps = layers[0].normalized_shape, layers[0].eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise all rows, then scale and shift by group."""
        normal = self._split(functional.layer_norm(x, self.shape, eps=self.eps))
        scaled = normal * self.weight[:, None]
        return (scaled if self.bias is None else scaled + self.bias[:, None]).view_as(x)


class StackedRMSNorm(_Stacked):
    """The RMSNorm of Llama and its relatives."""

    def __init__(self, layers: Sequence[Any], weight: nn.Parameter | None = None) -> None:
        super().__init__(layers, weight)
        self.eps = float(layers[0].variance_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise in float32, then scale by group."""
        wide = x.float()
        normal = (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype)
        return (self.weight[:, None] * self._split(normal)).view_as(x)


def _stack(parameters: Sequence[Any]) -> nn.Parameter:
    """Stack parameters and make the originals views of the result, so that no weight is held twice."""
    stacked = nn.Parameter(torch.stack([p.detach() for p in parameters]), requires_grad=False)
    for number, parameter in enumerate(parameters):
        parameter.data = stacked.data[number]
    return stacked


def _kind(layer: nn.Module) -> type[_Stacked] | None:
    if type(layer) in (nn.Linear, Conv1D):
        return StackedLinear
    if type(layer) is nn.Embedding:
        return StackedEmbedding
    if type(layer) is nn.LayerNorm:
        return StackedLayerNorm
    if type(layer).__name__.endswith(_NORMS) and hasattr(layer, "variance_epsilon"):
        return StackedRMSNorm
    return None


def _owners(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module that holds parameters of its own."""
    for name, module in model.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            yield name, module


def can_stack(models: Sequence[nn.Module]) -> bool:
    """Whether models have the same architecture, built from layers that are known here, on one device and of one type."""
    first = models[0]
    if len(models) < 2 or any(type(m) is not type(first) for m in models) or hasattr(first, "peft_config"):
        return False
    shapes = [[(name, type(module), _shape(module)) for name, module in _owners(m)] for m in models]
    if any(shape != shapes[0] for shape in shapes):
        return False
    return all(_kind(module) is not None for _, module in _owners(first))


def _shape(module: nn.Module) -> list[tuple[str, tuple[int, ...], torch.dtype, torch.device]]:
    return [(n, tuple(p.shape), p.dtype, p.device) for n, p in module.named_parameters(recurse=False)]


def stack(models: Sequence[Any]) -> Any:
    """Return one model whose batch is the batches of all models behind each other; the models become views of its weights.

    Raises ValueError for models that `can_stack` refuses.
    """
    if not can_stack(models):
        raise ValueError("these models can't be stacked: their architectures differ or have unknown layers")
    memo = {id(p): p for p in models[0].parameters()}
    stacked = copy.deepcopy(models[0], memo)
    # A head that is tied to the embedding is the same parameter there and stays so.
    made: dict[int, nn.Parameter] = {}
    for name, _ in list(_owners(models[0])):
        layers: list[Any] = [model.get_submodule(name) for model in models]
        kind = _kind(layers[0])
        assert kind is not None
        parent, _, leaf = name.rpartition(".")
        new = kind(layers, made.get(id(layers[0].weight)))
        made[id(layers[0].weight)] = new.weight
        setattr(stacked.get_submodule(parent), leaf, new)
    stacked.stacked_groups = len(models)
    return stacked.eval()
