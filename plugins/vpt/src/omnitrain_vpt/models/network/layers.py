"""Norm, then a convolution or a product, then ReLU; and the stacks of the Impala CNN (section 4.2, app. D)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def rescale_rows(weight: Tensor, scale: float) -> None:
    """Give every output unit's weight vector the norm `scale`, keeping its direction."""
    with torch.no_grad():
        dims = tuple(range(1, weight.ndim))
        weight.mul_(scale / weight.norm(dim=dims, p=2, keepdim=True))


class NormLayer(nn.Module):
    """`norm` on the input, `layer` (with a bias only where there is no norm), ReLU.

    layer: nn.Linear or a convolution. norm: module or None. scale: norm of each unit's initial weights.
    """

    def __init__(self, layer: nn.Module, norm: nn.Module | None, scale: float = 1.0, activation: bool = True) -> None:
        super().__init__()
        if norm is not None:
            self.norm = norm
        self.normed, self.activation = norm is not None, activation
        self.layer = layer
        rescale_rows(layer.weight, scale)  # type: ignore[arg-type]
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(layer(norm(x)))."""
        if self.normed:
            x = self.norm(x)
        x = self.layer(x)
        return F.relu(x) if self.activation else x


def conv(inputs: int, outputs: int, normed: bool, scale: float = 1.0) -> NormLayer:
    """A 3x3 convolution that keeps the size, with GroupNorm of one group in front where `normed`."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not normed)
    return NormLayer(layer, nn.GroupNorm(1, inputs) if normed else None, scale)


def dense(inputs: int, outputs: int, scale: float = 1.0) -> NormLayer:
    """A product with LayerNorm in front."""
    return NormLayer(nn.Linear(inputs, outputs, bias=False), nn.LayerNorm(inputs), scale)


class ResidualBlock(nn.Module):
    """x + conv1(conv0(x))."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.conv0 = conv(channels, channels, True, math.sqrt(scale))
        self.conv1 = conv(channels, channels, True, math.sqrt(scale))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        out: Tensor = x + self.conv1(self.conv0(x))
        return out


class Stack(nn.Module):
    """Convolution, max-pool of 3 with stride 2, norm after the pool, residual blocks."""

    def __init__(self, inputs: int, outputs: int, blocks: int, first_norm: bool, pool_groups: int, scale: float) -> None:
        super().__init__()
        self.firstconv = conv(inputs, outputs, first_norm)
        self.n = nn.GroupNorm(pool_groups, outputs)
        self.blocks = nn.ModuleList(ResidualBlock(outputs, scale / math.sqrt(blocks)) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        """Return float[frames, outputs, height / 2, width / 2]."""
        x = self.n(F.max_pool2d(self.firstconv(x), 3, stride=2, padding=1))
        for block in self.blocks:
            x = block(x)
        return x


class ImpalaCNN(nn.Module):
    """Stacks, then flatten and a dense layer. Works on frames one by one."""

    def __init__(
        self, shape: Sequence[int], channels: Sequence[int], outputs: int, first_norm: bool, pool_groups: int = 1
    ) -> None:
        super().__init__()
        height, width, inputs = shape
        stacks = []
        for number, count in enumerate(channels):
            scale = math.sqrt(len(channels))
            stacks.append(Stack(inputs, count, 2, first_norm or number > 0, pool_groups, scale))
            inputs, height, width = count, (height + 1) // 2, (width + 1) // 2
        self.stacks = nn.ModuleList(stacks)
        self.dense = dense(inputs * height * width, outputs, 1.4)

    def forward(self, x: Tensor) -> Tensor:
        """Return float[frames, outputs] of float[frames, channels, height, width]."""
        for stack in self.stacks:
            x = stack(x)
        out: Tensor = self.dense(x.flatten(1))
        return out


class ImageProcess(nn.Module):
    """The Impala CNN and a dense layer to the width of the blocks."""

    def __init__(self, cnn: ImpalaCNN, cnn_outputs: int, hidsize: int) -> None:
        super().__init__()
        self.cnn = cnn
        self.linear = dense(cnn_outputs, hidsize)

    def forward(self, x: Tensor) -> Tensor:
        """Return float[frames, hidsize] of float[frames, channels, height, width]."""
        out: Tensor = self.linear(self.cnn(x))
        return out
