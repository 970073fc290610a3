"""The tuning methods as components: from settings to `omnitrain_tuning`."""

from __future__ import annotations

from collections.abc import Sequence

from omnitrain.api import Context
from omnitrain.errors import UsageError
from omnitrain_lae.configs.models import (
    AdapterConfig,
    ConvAdapterConfig,
    LoraConfig,
    PrefixConfig,
    PromptPoolConfig,
)
from omnitrain_lae.paper.calibration import calibrated_prefix
from omnitrain_tuning.adapter import AdapterPet, ConvAdapterPet
from omnitrain_tuning.lora import LoraPet
from omnitrain_tuning.pool import PromptPoolPet
from omnitrain_tuning.prefix import PrefixPet

UNSET: tuple[int, ...] = ()


def build_adapter(config: AdapterConfig, context: Context) -> AdapterPet:
    """Make the method `lae/adapter`."""
    return AdapterPet(config.rank, _numbers(config.blocks), config.mode, config.scale)


def build_conv_adapter(config: ConvAdapterConfig, context: Context) -> ConvAdapterPet:
    """Make the method `lae/conv-adapter`. Raises UsageError for a mode that goes around no residual block."""
    return ConvAdapterPet(config.rank, _numbers(config.blocks), config.mode, config.scale)


def build_lora(config: LoraConfig, context: Context) -> LoraPet:
    """Make the method `lae/lora`."""
    return LoraPet(config.rank, _numbers(config.blocks), config.scale)


def build_prefix(config: PrefixConfig, context: Context) -> PrefixPet:
    """Make the method `lae/prefix`."""
    return calibrated_prefix(config.length, _numbers(config.blocks), config.compensated, config.scale)


def build_prompt_pool(config: PromptPoolConfig, context: Context) -> PromptPoolPet:
    """Make the method `lae/prompt-pool`."""
    return PromptPoolPet(config.pool, config.length, config.top, config.pull)


def _numbers(blocks: list[int] | None) -> Sequence[int]:
    """Return the block numbers; nothing stands for the paper's places, which depend on the backbone. Raises UsageError."""
    if blocks is None:
        return UNSET
    if not blocks or sorted(set(blocks)) != blocks:
        raise UsageError(f"blocks: expected block numbers in rising order, each once, such as [0, 1, 2]; found {blocks}.")
    return tuple(blocks)
