"""Where the paper puts its modules: the first blocks, as many as the kind of backbone has places for."""

from __future__ import annotations

from torch import nn

from omnitrain_tuning.blocks import find_blocks

FIRST_BLOCKS = {"tokens": 5, "swin": 10, "maps": 15}
"""How many blocks the paper tunes, from the first: of ViT and DeiT, of Swin, of ConvNeXt."""


def paper_blocks(trunk: nn.Module) -> tuple[int, ...]:
    """Return the places of the paper: blocks 0-4 of ViT and DeiT, 0-9 of Swin, 0-14 of ConvNeXt, as far as there are."""
    blocks = find_blocks(trunk)
    kind = getattr(getattr(trunk, "config", None), "model_type", "")
    layout = "maps" if blocks[0].attention is None else "swin" if "swin" in str(kind) else "tokens"
    return tuple(range(min(FIRST_BLOCKS[layout], len(blocks))))
