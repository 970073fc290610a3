"""Rows of control tokens in the embedding and in the head: how they begin (official code)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

NOISE = 0.01


def fresh_rows(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return embeddings of new tokens: the mean of the existing rows plus 0.01 x N(0, 1) elementwise.

    rows: [vocabulary, width]. Returns [count, width].
    """
    noise = torch.randn(count, rows.shape[1], generator=generator, dtype=torch.float32)
    return rows.float().mean(dim=0, keepdim=True).to(rows) + NOISE * noise.to(rows)


@torch.no_grad()
def set_token_rows(model: Any, ids: Sequence[int], known: int, generator: torch.Generator) -> None:
    """Write the rows of new tokens into the embedding and into an untied head. known: rows that existed before."""
    matrices = [model.get_input_embeddings().weight]
    head = model.get_output_embeddings().weight
    if head is not matrices[0]:
        matrices.append(head)
    for matrix in matrices:
        matrix[list(ids)] = fresh_rows(matrix[:known], len(ids), generator)


def grow(model: Any, ids: Sequence[int], seed: int) -> None:
    """Append rows for control tokens that a model does not have yet. ids: behind all that it has."""
    missing = [i for i in ids if i >= model.get_input_embeddings().weight.shape[0]]
    if not missing:
        return
    known = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(max(missing) + 1, mean_resizing=False)
    set_token_rows(model, missing, min(known, min(missing)), torch.Generator().manual_seed(seed % 2**63))
