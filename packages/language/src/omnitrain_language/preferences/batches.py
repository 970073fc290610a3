"""Pairs of rows as one batch: both sides padded to one length, so that a model reads them in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omnitrain.api import Batch, Fields
from omnitrain_language.dialogues.rows import Row

CHOSEN, REJECTED = 0, 1
SIDES = ("chosen", "rejected")
PAIRS: Fields = {
    "input_ids": "int64[batch, 2, length]",
    "attention_mask": "bool[batch, 2, length]",
    "labels": "int64[batch, 2, predicted_length]",
    "loss_weights": "float32[batch, 2, predicted_length]",
    "pair_weights": "float32[batch]",
}
"""What a batch of pairs holds. The second dimension is the side: 0 chosen, 1 rejected. labels and loss_weights are of the LAST
`predicted_length` positions, which alone need logits: labels[t] is what position length - predicted_length + t predicts."""
REFERENCE: Fields = {"reference_chosen": "float32[batch]", "reference_rejected": "float32[batch]"}
"""Log-probabilities that the reference gives the responses, summed over their tokens."""


@dataclass(frozen=True)
class Pair:
    """Two rows of one prompt. weights: of the tokens of each response, for the chosen and the rejected row; None for 1 each.

    A token of weight 0 is read by the model and not compared, as a thought before an answer may be.
    """

    chosen: Row
    rejected: Row
    weights: tuple[Sequence[float], Sequence[float]] | None = None

    @property
    def sides(self) -> tuple[Row, Row]:
        """The rows in the order of the batch's second dimension."""
        return self.chosen, self.rejected

    def __len__(self) -> int:
        """Return the tokens of the longer row."""
        return max(len(row) for row in self.sides)


def collate_pairs(pairs: Sequence[Pair], pad: int) -> Batch:
    """Return the fields of `PAIRS` for some pairs, padded at the end of rows."""
    rows = [row for pair in pairs for row in pair.sides]
    wholes = [[*row.prompt, *row.reply] for row in rows]
    heads = [len(row.prompt) - 1 for row in rows]
    length, first = max(map(len, wholes)) - 1, min(heads)
    ids = torch.full((len(rows), length + 1), pad, dtype=torch.int64)
    weights = torch.zeros(len(rows), length)
    for number, (whole, head, own) in enumerate(zip(wholes, heads, _weights(pairs), strict=True)):
        ids[number, : len(whole)] = torch.tensor(whole)
        weights[number, head : len(whole) - 1] = own
    lengths = torch.tensor([len(whole) - 1 for whole in wholes])
    return {
        "input_ids": _by_pair(ids[:, :-1]),
        "attention_mask": _by_pair(torch.arange(length) < lengths[:, None]),
        "labels": _by_pair(ids[:, first + 1 :]),
        "loss_weights": _by_pair(weights[:, first:]),
        "pair_weights": torch.ones(len(pairs)),
    }


def _by_pair(rows: Tensor) -> Tensor:
    return rows.reshape(-1, len(SIDES), rows.shape[1])


def _weights(pairs: Sequence[Pair]) -> Sequence[Tensor]:
    """Return the weights of every row's response, float32[tokens]."""
    found: list[Tensor] = []
    for pair in pairs:
        for side, row in enumerate(pair.sides):
            own = [1.0] * len(row.reply) if pair.weights is None else list(pair.weights[side])
            if len(own) != len(row.reply):
                raise ValueError(f"{len(own)} weights for the {len(row.reply)} tokens of a {SIDES[side]} response")
            found.append(torch.tensor(own))
    return found
