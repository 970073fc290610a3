"""How blocks of tokens with scores become what a causal model is trained on: the one place where anything is shifted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def align(ids: NDArray[Any], scores: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the fields of a batch from whole blocks.

    ids: int[batch, length]; scores: float[batch, length], the score of each token's own segment. At position t the
    label is token t + 1 and `token_scores` is the score of that PREDICTED token; a model's value at t stands for the
    same prediction. The last position predicts nothing and has weight 0.
    """
    weights = np.ones(ids.shape, np.float32)
    weights[:, -1] = 0
    return {
        "input_ids": np.ascontiguousarray(ids, np.int64),
        "labels": _shifted(ids).astype(np.int64, copy=False),
        "loss_weights": weights,
        "token_scores": _shifted(scores),
    }


def _shifted(array: NDArray[Any]) -> NDArray[Any]:
    out = np.zeros_like(array)
    out[:, :-1] = array[:, 1:]
    return out
