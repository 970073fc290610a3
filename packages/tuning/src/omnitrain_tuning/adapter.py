"""Adapter: a bottleneck parallel to a sub-layer, with linear maps or 1x1 convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import Block
from omnitrain_tuning.methods import Detach, Sites, by_parts, kaiming_, scale_parameter

Mode = Literal["parallel", "before", "after"]
Modules = Callable[[], Sequence[nn.Module]]


class Bottleneck(nn.Module):
    """delta(x) = s * up(gelu(down(x))) with the exact (erf) GELU; fresh, it is 0.

    width: of x float[..., width]. rank: of the bottleneck. scale: a fixed s, or None for a learnable one.
    """

    def __init__(self, width: int, rank: int, scale: float | None = None) -> None:
        super().__init__()
        self.down, self.up = self._maps(width, rank)
        kaiming_(self.down.weight)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)  # type: ignore[arg-type]
        self.scale = scale_parameter(scale)

    def _maps(self, width: int, rank: int) -> tuple[nn.Linear | nn.Conv2d, nn.Linear | nn.Conv2d]:
        return nn.Linear(width, rank), nn.Linear(rank, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return delta(x), in the shape of x."""
        result: Tensor = self.up(F.gelu(self.down(x))) * self.scale
        return result


class ConvBottleneck(Bottleneck):
    """The same for feature maps float[batch, width, height, breadth]: down and up are 1x1 convolutions."""

    def _maps(self, width: int, rank: int) -> tuple[nn.Linear | nn.Conv2d, nn.Linear | nn.Conv2d]:
        return nn.Conv2d(width, rank, 1), nn.Conv2d(rank, width, 1)


def _input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    found: Tensor = args[0] if args else kwargs["hidden_states"]
    return found


def install(target: nn.Module, mode: Mode, modules: Modules) -> Detach:
    """Put adapters around a module that takes a tensor first and returns a tensor, or a tuple that begins with one.

    parallel: y = f(x) + delta(x). before: y = f(x + delta(x)). after: y = x + delta(f(x)), which adds the module's INPUT
    and not its output, as the official code of LAE (arXiv 2303.10070) does.
    """
    if mode == "before":

        def shift(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            active = modules()
            if not active:
                return args, kwargs
            x = _input(args, kwargs)
            x = x + by_parts(active, x)
            return ((x, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": x})

        return target.register_forward_pre_hook(shift, with_kwargs=True).remove

    def add(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        active = modules()
        if not active:
            return output
        x = _input(args, kwargs)
        first = output[0] if isinstance(output, tuple) else output
        changed = first + by_parts(active, x) if mode == "parallel" else x + by_parts(active, first)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    return target.register_forward_hook(add, with_kwargs=True).remove


class AdapterPet:
    """Adapters parallel to (or before, or after) the attention sub-layer of blocks."""

    def __init__(self, rank: int, blocks: Sequence[int], mode: Mode = "parallel", scale: float | None = None) -> None:
        self.rank, self.blocks, self.mode, self.scale = rank, blocks, mode, scale

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> Sites:
        """Put hooks on the attention sub-layers. Raises UsageError where a block has no attention."""
        places = {block.name: block.attention_for("an adapter").sublayer for block in blocks}
        return Sites(
            blocks,
            lambda block: Bottleneck(block.width, self.rank, self.scale),
            lambda block, modules: install(places[block.name], self.mode, modules),
        )


class ConvAdapterPet:
    """1x1-convolution adapters parallel to whole blocks, their residual included (ConvNeXt)."""

    def __init__(self, rank: int, blocks: Sequence[int], mode: Mode = "parallel", scale: float | None = None) -> None:
        self.rank, self.blocks, self.mode, self.scale = rank, blocks, mode, scale

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> Sites:
        """Put hooks on the blocks. Raises UsageError for blocks with attention, whose inputs are no feature maps."""
        other = [block.name for block in blocks if block.attention is not None]
        if other:
            raise UsageError(f"Block {other[0]} has attention and no feature maps; take the method adapter.")
        return Sites(
            blocks,
            lambda block: ConvBottleneck(block.width, self.rank, self.scale),
            lambda block, modules: install(block.module, self.mode, modules),
        )
