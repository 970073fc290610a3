"""Where the linear maps of a block are by their role, also where one projection gives query, key and value."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import Block

QUERY, KEY, VALUE, FEED_FORWARD = "query", "key", "value", "feed_forward"
# Fused projections that hold query, key and value one after the other. Others interleave them by head, each in its own way.
_THIRDS = ("qkv", "Wqkv")


def sizes_of(projection: nn.Module) -> tuple[int, int] | None:
    """Return (inputs, outputs) of a linear map, also of transformers' Conv1D; None for another module."""
    if isinstance(projection, nn.Linear):
        return projection.in_features, projection.out_features
    weight = getattr(projection, "weight", None)
    if type(projection).__name__ == "Conv1D" and isinstance(weight, Tensor):
        return int(weight.shape[0]), int(weight.shape[1])
    return None


@dataclass(frozen=True)
class Place:
    """The linear map of a role. start, stop: those outputs of the module that are the role's."""

    module: nn.Module
    inputs: int
    start: int
    stop: int

    @property
    def outputs(self) -> int:
        """How many outputs are the role's."""
        return self.stop - self.start

    @property
    def is_whole(self) -> bool:
        """Whether these are all outputs of the module."""
        return (sizes_of(self.module) or (0, 0))[1] == self.outputs

    def read(self, output: Tensor) -> Tensor:
        """Return the role's part of what the module gives, float[..., outputs]."""
        return output if self.is_whole else output[..., self.start : self.stop]


def attention_place(backbone: nn.Module, block: Block, role: str, method: str) -> Place:
    """Return where a block projects its query, key or value; method: for the message.

    Raises UsageError for a block without attention, and for a fused projection whose outputs are in no known order.
    """
    attention = block.attention_for(method)
    own = {QUERY: attention.query, KEY: attention.key, VALUE: attention.value}[role]
    if own is not None:
        projection = backbone.get_submodule(own)
        inputs, outputs = sizes_of(projection) or (0, 0)
        return Place(projection, inputs, 0, outputs)
    assert attention.fused is not None
    projection, name = backbone.get_submodule(attention.fused), attention.fused.rpartition(".")[2]
    inputs, outputs = sizes_of(projection) or (0, 0)
    known = name in _THIRDS or (name == "c_attn" and type(projection).__name__ == "Conv1D")
    if not known or outputs != 3 * inputs:
        raise UsageError(
            f"Block {block.name} has one projection for query, key and value ({name}), and which of its outputs are the "
            f"{role}'s is not known, so {method} can't be put on the {role} alone; leave {role} out of the roles, or take the "
            "method adapter."
        )
    third = (QUERY, KEY, VALUE).index(role)
    return Place(projection, inputs, third * inputs, (third + 1) * inputs)


def feed_forward_input(block: Block) -> Place:
    """Return the map of the feed-forward layer from the width of the block to its activations.

    It is the only linear map outside of attention that widens. Raises UsageError unless there is just one (gated layers
    have two).
    """
    module = _only(block, "from", widens=True)
    inputs, outputs = sizes_of(module) or (0, 0)
    return Place(module, inputs, 0, outputs)


def feed_forward_output(block: Block) -> nn.Module:
    """Return the map of the feed-forward layer back to the width of the block: what it reads are the activations.

    It is the only linear map outside of attention that narrows to that width. Raises UsageError unless there is just one.
    """
    return _only(block, "back to", widens=False)


def _only(block: Block, way: str, widens: bool) -> nn.Module:
    attention = set(block.attention.sublayer.modules()) if block.attention is not None else set()
    found: list[tuple[str, nn.Module]] = []
    for name, module in block.module.named_modules():
        if module in attention or (sizes := sizes_of(module)) is None:
            continue
        narrow, wide = sizes if widens else sizes[::-1]
        if narrow == block.width < wide:
            found.append((name, module))
    if len(found) != 1:
        names = ", ".join(name for name, _ in found) or "none"
        raise UsageError(
            f"Block {block.name}: one map of a feed-forward layer {way} width {block.width} was looked for, found {names}; "
            "leave feed_forward out of the roles."
        )
    return found[0][1]


def feed_forward_layer(block: Block) -> nn.Module:
    """Return the module that is the feed-forward layer as a whole: the innermost one around its two maps that is called.

    Raises UsageError where that is the block itself.
    """
    names = {module: name for name, module in block.module.named_modules()}
    path = names[feed_forward_output(block)].split(".")
    for count in range(len(path) - 1, 0, -1):
        module = block.module.get_submodule(".".join(path[:count]))
        widens = any((sizes := sizes_of(m)) is not None and sizes[0] == block.width < sizes[1] for m in module.modules())
        if widens and not isinstance(module, (nn.ModuleList, nn.ModuleDict)):
            return module
    raise UsageError(
        f"Block {block.name} has no module of its own for its feed-forward layer, so nothing can be put on it; put adapters on "
        "its attention."
    )
