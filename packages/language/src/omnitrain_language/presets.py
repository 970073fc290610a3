"""Sizes of models with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class T5Size:
    """layers: of encoder and of decoder each. head: width of one attention head."""

    width: int
    feed_forward: int
    layers: int
    heads: int
    head: int


# small to xl are T5 1.1; ul2-20b is the 20 B model of UL2 (32 + 32 layers, width 4096).
T5_SIZES: Mapping[str, T5Size] = {
    "tiny": T5Size(64, 128, 2, 4, 16),
    "mini": T5Size(96, 256, 2, 4, 24),
    "small": T5Size(512, 1024, 8, 6, 64),
    "base": T5Size(768, 2048, 12, 12, 64),
    "large": T5Size(1024, 2816, 24, 16, 64),
    "xl": T5Size(2048, 5120, 24, 32, 64),
    "ul2-20b": T5Size(4096, 16384, 32, 16, 256),
}


@dataclass(frozen=True)
class BartSize:
    """layers: of encoder and of decoder each."""

    width: int
    feed_forward: int
    layers: int
    heads: int


# base and large are BART's (arXiv 1910.13461, 139 M and 406 M with its 50,265 ids).
BART_SIZES: Mapping[str, BartSize] = {
    "tiny": BartSize(64, 256, 2, 4),
    "mini": BartSize(128, 512, 3, 4),
    "small": BartSize(512, 2048, 6, 8),
    "base": BartSize(768, 3072, 6, 12),
    "large": BartSize(1024, 4096, 12, 16),
}


@dataclass(frozen=True)
class CausalSize:
    """GPT-2's feed-forward is 4 x width, Llama's 8/3 x width rounded up to 64, unless it is given.

    key_value_heads: of Llama's attention, None for as many as heads.
    """

    width: int
    layers: int
    heads: int
    feed_forward: int | None = None
    key_value_heads: int | None = None


CAUSAL_SIZES: Mapping[str, CausalSize] = {
    "tiny": CausalSize(64, 2, 4),
    # As much computation per token as the T5 "mini", whose tokens pass either its encoder or its decoder.
    "mini-half": CausalSize(96, 2, 4),
    "mini": CausalSize(128, 4, 4),
    "small": CausalSize(768, 12, 12),
    "medium": CausalSize(1024, 24, 16),
    "large": CausalSize(1280, 36, 20),
    # 1.24 B with its 128,256 ids.
    "llama-3.2-1b": CausalSize(2048, 16, 32, 8192, 8),
}
