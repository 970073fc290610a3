"""Denoised segments on their way from the corruption into batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnitrain_ul2.paper.sentinels import Corrupted
from omnitrain_ul2.paper.spans import Ints


@dataclass(frozen=True, slots=True)
class Examples:
    """Denoised segments. tasks: denoiser of each, int64[rows]; starts: where its text begins, int64[rows]."""

    sides: Corrupted
    tasks: Ints
    starts: Ints

    def __len__(self) -> int:
        return len(self.tasks)

    def take(self, rows: Ints) -> Examples:
        """Return some of the examples."""
        s = self.sides
        sides = Corrupted(s.inputs[rows], s.input_lengths[rows], s.targets[rows], s.target_lengths[rows])
        return Examples(sides, self.tasks[rows], self.starts[rows])


def _padded(rows: np.ndarray, width: int, pad: int) -> np.ndarray:
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])), constant_values=pad)


def join_examples(first: Examples, second: Examples, pad: int) -> Examples:
    """Return the examples of both, one after the other."""
    a, b = first.sides, second.sides
    inputs, targets = (max(x.shape[1], y.shape[1]) for x, y in ((a.inputs, b.inputs), (a.targets, b.targets)))
    sides = Corrupted(
        np.concatenate([_padded(a.inputs, inputs, pad), _padded(b.inputs, inputs, pad)]),
        np.concatenate([a.input_lengths, b.input_lengths]),
        np.concatenate([_padded(a.targets, targets, pad), _padded(b.targets, targets, pad)]),
        np.concatenate([a.target_lengths, b.target_lengths]),
    )
    return Examples(sides, np.concatenate([first.tasks, second.tasks]), np.concatenate([first.starts, second.starts]))
