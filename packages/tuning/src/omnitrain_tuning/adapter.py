"""Adapter: a bottleneck parallel to a sub-layer, with linear maps or 1x1 convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import Block
from omnitrain_tuning.methods import Detach, SharedSites, Sites, by_parts, kaiming_, scale_parameter
from omnitrain_tuning.roles import feed_forward_layer

Mode = Literal["parallel", "before", "after", "serial"]
Where = Literal["attention", "feed_forward"]
Activation = Literal["gelu", "silu", "relu"]
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "silu": F.silu, "relu": F.relu}
Modules = Callable[[], Sequence[nn.Module]]


class Bottleneck(nn.Module):
    """delta(x) = s * up(f(down(x))), f being the exact (erf) GELU unless another is named; fresh, it is 0.

    width: of x float[..., width]. rank: of the bottleneck. scale: a fixed s, or None for a learnable one.
    """

    def __init__(self, width: int, rank: int, scale: float | None = None, activation: Activation = "gelu") -> None:
        super().__init__()
        self.down, self.up = self._maps(width, rank)
        kaiming_(self.down.weight)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)  # type: ignore[arg-type]
        self.scale = scale_parameter(scale)
        self.activation = activation

    def _maps(self, width: int, rank: int) -> tuple[nn.Linear | nn.Conv2d, nn.Linear | nn.Conv2d]:
        return nn.Linear(width, rank), nn.Linear(rank, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return delta(x), in the shape of x."""
        result: Tensor = self.up(_ACTIVATIONS[self.activation](self.down(x))) * self.scale
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
    and not its output, as the official code of LAE (arXiv 2303.10070) does. serial: y = f(x) + delta(f(x)), as Houlsby et al.
    (arXiv 1902.00751).
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
        changed = (x if mode == "after" else first) + by_parts(active, x if mode == "parallel" else first)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    return target.register_forward_hook(add, with_kwargs=True).remove


class AdapterPet:
    """Adapters parallel to (or before, after, in series with) sub-layers of blocks.

    where: the sub-layers, the attention alone or with the feed-forward layer, where that is one module. shared: one set of
    adapters for all blocks, which must have one width.
    """

    def __init__(
        self,
        rank: int,
        blocks: Sequence[int],
        mode: Mode = "parallel",
        scale: float | None = None,
        where: Sequence[Where] = ("attention",),
        activation: Activation = "gelu",
        shared: bool = False,
    ) -> None:
        self.rank, self.blocks, self.mode, self.scale = rank, blocks, mode, scale
        self.where, self.activation, self.shared = tuple(where), activation, shared

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> Sites:
        """Put hooks on the sub-layers. Raises UsageError where a block lacks one, and for widths that can't be shared."""
        places = {block.name: {place: self._sublayer(block, place) for place in self.where} for block in blocks}
        widths = sorted({block.width for block in blocks})
        if self.shared and len(widths) > 1:
            raise UsageError(f"Adapters can't be shared by blocks of different widths ({widths[0]}, {widths[1]}).")

        def put(block: Block, modules: Modules) -> Detach:
            removals = [install(target, self.mode, self._of(modules, place)) for place, target in places[block.name].items()]

            def remove() -> None:
                for removal in removals:
                    removal()

            return remove

        return SharedSites(blocks, self._create, put) if self.shared else Sites(blocks, self._create, put)

    def _sublayer(self, block: Block, place: Where) -> nn.Module:
        return block.attention_for("an adapter").sublayer if place == "attention" else feed_forward_layer(block)

    def _create(self, block: Block) -> nn.Module:
        made = [Bottleneck(block.width, self.rank, self.scale, self.activation) for _ in self.where]
        return made[0] if len(made) == 1 else nn.ModuleDict(dict(zip(self.where, made, strict=True)))

    def _of(self, modules: Modules, place: Where) -> Modules:
        if len(self.where) == 1:
            return modules
        return lambda: [module[place] for module in modules()]  # type: ignore[index]


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
