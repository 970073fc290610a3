"""Node vectors in place of the graph token: embeddings, labels, mask and positions of the longer rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

GRAPH_TOKEN = -200
IGNORED = -100


@dataclass(frozen=True)
class Fused:
    """Rows of a batch with their node vectors in place.

    embeddings: float[batch, width, hidden], zeros where nothing was written. labels: int64[batch, width], IGNORED at nodes.
    mask: bool[batch, width]. positions: int64[batch, width], 1 where the mask is false. places: int64[batch, length], where
    each token went; that of a graph token, and what was cut off as padding, is `width`.
    """

    embeddings: Tensor
    labels: Tensor
    mask: Tensor
    positions: Tensor
    places: Tensor

    def placed(self, values: Tensor) -> Tensor:
        """Return the values of tokens [batch, length] at their places [batch, width], 0 at nodes and where nothing is."""
        out = values.new_zeros(len(values), self.mask.shape[1] + 1)
        return out.scatter(1, self.places, values)[:, :-1]


def graph_rows(ids: Tensor) -> Tensor:
    """Return bool[batch]: which rows have a graph token."""
    return (ids == GRAPH_TOKEN).any(dim=1)


def fuse(embeddings: Tensor, ids: Tensor, labels: Tensor, mask: Tensor, nodes: Tensor, counts: Tensor) -> Fused:
    """Put the vectors of all nodes of a row's graph where its graph token stands, and shift what is behind to the right.

    embeddings: float[batch, length, hidden] of the tokens; what stands at a graph token is not used. ids, labels: int64[batch,
    length]. mask: bool[batch, length]. nodes: float[all nodes, hidden], row by row. counts: int64[batch], 0 where a row has no
    graph token. All rows are padded or cut to the largest number of true positions, by which padding alone is cut.
    """
    batch, length = ids.shape
    token, added = ids == GRAPH_TOKEN, counts - graph_rows(ids).long()
    behind = token.cumsum(dim=1).bool() & ~token
    places = torch.arange(length, device=ids.device) + behind * added[:, None]
    whole = length + int(added.clamp(min=0).max()) if batch else length
    width = int((mask.sum(dim=1) + added).max()) if batch else 0
    # One more column takes what belongs nowhere.
    places = torch.where(token | (places >= width), width, places)
    wide = max(whole, width) + 1
    out = embeddings.new_zeros(batch, wide, embeddings.shape[-1])
    out = out.scatter(1, places[..., None].expand_as(embeddings), embeddings)
    rows = torch.repeat_interleave(torch.arange(batch, device=ids.device), counts)
    within = torch.arange(len(nodes), device=ids.device) - (counts.cumsum(0) - counts)[rows]
    columns = token.int().argmax(dim=1)[rows] + within
    out = out.index_put((rows, columns), nodes.to(out.dtype))
    fused_mask = torch.zeros(batch, wide, dtype=torch.bool, device=ids.device).scatter(1, places, mask)
    fused_mask = fused_mask.index_put((rows, columns), torch.ones_like(rows, dtype=torch.bool))
    fused_labels = torch.full((batch, wide), IGNORED, device=ids.device).scatter(1, places, labels)
    fused_labels = fused_labels.index_put((rows, columns), torch.full_like(rows, IGNORED))[:, :width]
    kept = fused_mask[:, :width]
    positions = (kept.long().cumsum(dim=1) - 1).masked_fill(~kept, 1)
    return Fused(out[:, :width], fused_labels, kept, positions, places)
