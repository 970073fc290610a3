"""LoRA on the key and value projections, by peft, with the learnable scale that peft lacks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import Block
from omnitrain_tuning.methods import kaiming_, scale_parameter


class LowRank(nn.Module):
    """One pair of low-rank factors: W <- W + s * B A. The factors are those of a layer of peft.

    A: float[rank, inputs], Kaiming uniform. B: float[outputs, rank], 0. s: 1, learnable unless fixed; no alpha / rank.
    """

    def __init__(self, layer: Any, expert: str, scale: float | None) -> None:
        super().__init__()
        self.a, self.b = layer.lora_A[expert].weight, layer.lora_B[expert].weight
        kaiming_(self.a)
        nn.init.zeros_(self.b)
        self.scale = scale_parameter(scale)
        layer.scaling[expert] = self.scale

    def forward(self) -> Tensor:
        """Return what is added to the weight, float[outputs, inputs]; peft adds its product with the input instead."""
        return low_rank_update(self.a, self.b, self.scale)


def low_rank_update(a: Tensor, b: Tensor, scale: Tensor | float) -> Tensor:
    """Return s * B A, float[outputs, inputs]."""
    return scale * (b @ a)


def convolution_update(a: Tensor, b: Tensor, scale: Tensor | float, shape: Sequence[int]) -> Tensor:
    """Return s * B A, float[outputs * k, inputs * k], read row by row as a convolution's weight (outputs, inputs, k, k)."""
    return low_rank_update(a, b, scale).view(*shape)


class KeyValue(nn.ModuleDict):
    """The factors of one block: `key` and `value`."""


class LoraSites:
    """peft's layers in place of the key and value projections of the chosen blocks."""

    def __init__(self, backbone: nn.Module, blocks: Sequence[Block], rank: int, scale: float | None) -> None:
        self._backbone, self._rank, self._scale = backbone, rank, scale
        self._names = [(a.key, a.value) for block in blocks if (a := block.attention) is not None and a.key and a.value]
        self._originals = {n: backbone.get_submodule(n) for pair in self._names for n in pair if n}
        self._tuner: Any = None
        self._parts: tuple[str, ...] = ()
        self._hooks: list[Any] = []

    def add(self, expert: str) -> nn.Module:
        """Let peft make the layers, or the factors of one more expert."""
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel

        pattern = "|".join(re.escape(name) for name in self._originals)
        trainable = [p for p in self._backbone.parameters() if p.requires_grad]
        config = LoraConfig(r=self._rank, lora_alpha=self._rank, target_modules=f"^({pattern})$", init_lora_weights=True)
        if self._tuner is None:
            self._tuner = LoraModel(self._backbone, config, expert)
            for name in self._originals:
                layer = self._backbone.get_submodule(name)
                self._hooks.append(layer.register_forward_pre_hook(self._name_rows, with_kwargs=True))
        else:
            self._tuner.peft_config[expert] = config
            self._tuner.inject_adapter(self._backbone, expert)
        for parameter in trainable:  # peft freezes whatever it meets
            parameter.requires_grad_(True)
        return nn.ModuleList(
            KeyValue(
                {
                    role: LowRank(self._backbone.get_submodule(str(name)), expert, self._scale)
                    for role, name in (("key", key), ("value", value))
                }
            )
            for key, value in self._names
        )

    def _name_rows(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Tell peft the expert of each row; with one expert it is the active one and needs no telling."""
        if len(self._parts) < 2:
            return args, kwargs
        rows = len(args[0]) // len(self._parts)
        return args, {**kwargs, "adapter_names": [name for name in self._parts for _ in range(rows)]}

    def use(self, experts: Sequence[str]) -> None:
        """Make experts active; none disables the layers."""
        self._parts = tuple(experts)
        for name in self._originals:
            layer: Any = self._backbone.get_submodule(name)
            layer._disable_adapters = not experts
            layer._active_adapter = list(experts[:1])

    def detach(self) -> None:
        """Put the original projections back."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        if self._tuner is not None:
            for name, original in self._originals.items():
                owner, _, attribute = name.rpartition(".")
                setattr(self._backbone.get_submodule(owner), attribute, original)
            if hasattr(self._backbone, "peft_config"):
                delattr(self._backbone, "peft_config")
            self._tuner = None


class LoraPet:
    """Low-rank factors on key and value, not on the query."""

    def __init__(self, rank: int, blocks: Sequence[int], scale: float | None = None) -> None:
        self.rank, self.blocks, self.scale = rank, blocks, scale

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> LoraSites:
        """Find the projections. Raises UsageError where key and value have none of their own."""
        for block in blocks:
            if block.attention_for("LoRA").key is None:
                raise UsageError(
                    f"Block {block.name} has one projection for query, key and value, so LoRA can't be put on key and value "
                    "alone; take the method adapter."
                )
        return LoraSites(backbone, blocks, self.rank, self.scale)
