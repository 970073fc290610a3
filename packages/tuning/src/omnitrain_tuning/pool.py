"""A pool of prompts in the manner of L2P (arXiv 2112.08654), as a baseline: a query of the frozen backbone picks prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnitrain.errors import UsageError
from omnitrain_tuning.blocks import Block
from omnitrain_tuning.methods import Detach, Sites


class PromptPool(nn.Module):
    """Prompts float[pool, length, width] and their keys float[pool, width], both drawn from U(0, 0.01)."""

    def __init__(self, pool: int, length: int, top: int, width: int) -> None:
        super().__init__()
        self.top = top
        self.keys = nn.Parameter(torch.empty(pool, width).uniform_(0.0, 0.01))
        self.prompts = nn.Parameter(torch.empty(pool, length, width).uniform_(0.0, 0.01))

    def forward(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return (prompts float[batch, top * length, width], mean cosine similarity of the chosen keys, scalar).

        query: float[batch, width].
        """
        similarity = F.normalize(query, dim=-1) @ F.normalize(self.keys, dim=-1).T
        chosen = similarity.topk(self.top, dim=-1)
        return self.prompts[chosen.indices].flatten(1, 2), chosen.values.sum(dim=-1).mean()


class PoolSites(Sites):
    """A pool in front of the first chosen block: prompts are put before its tokens, and pooled after the last block."""

    def __init__(self, block: Block, pool: int, length: int, top: int, pull: float) -> None:
        self._query: Tensor | None = None
        self._similarity: Tensor | None = None
        self._pull, self._added = pull, length * top
        super().__init__([block], lambda place: PromptPool(pool, length, top, place.width), self._install)

    def _install(self, block: Block, modules: Callable[[], Sequence[nn.Module]]) -> Detach:
        def prepend(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            active = modules()
            if not active or self._query is None:
                return args
            if not args or args[0].ndim != 3:
                raise UsageError("A pool of prompts needs blocks that read tokens [batch, length, width] (ViT, DeiT).")
            picked = [pool(part) for pool, part in zip(active, self._query.chunk(len(active)), strict=True)]
            self._similarity = torch.stack([similarity for _, similarity in picked]).mean()
            return (torch.cat([torch.cat([prompts for prompts, _ in picked]), args[0]], dim=1), *args[1:])

        return block.module.register_forward_pre_hook(prepend).remove

    def query(self, features: Tensor) -> None:
        """Take the features by which prompts are picked."""
        self._query = features

    def auxiliary(self) -> Tensor:
        """Return -pull * mean similarity of the keys picked in the last forward pass."""
        assert self._similarity is not None
        return -self._pull * self._similarity

    def pool(self, tokens: Tensor) -> Tensor:
        """Return the mean of the prompts' final tokens, as L2P classifies by."""
        return tokens[:, : self._added].mean(dim=1)


class PromptPoolPet:
    """One pool for all tasks. pool: prompts. length: tokens of each. top: how many are picked. pull: weight of the keys."""

    def __init__(self, pool: int, length: int, top: int, pull: float) -> None:
        self.blocks: Sequence[int] = (0,)
        self.settings = (pool, length, top, pull)

    def attach(self, backbone: nn.Module, blocks: Sequence[Block]) -> PoolSites:
        """Put the pool in front of the first block. Raises UsageError for backbones without attention."""
        if blocks[0].attention is None:
            raise UsageError("A pool of prompts needs attention; this backbone has none (take the method conv-adapter).")
        return PoolSites(blocks[0], *self.settings)
