"""Numbers of a continual run, all from one matrix: accuracy on task j after learning task i."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = Sequence[Sequence[float]]


def accuracy_by_task(predicted: NDArray[np.integer], labels: NDArray[np.integer], tasks: NDArray[np.integer]) -> list[float]:
    """Return the accuracy on each task 0..max(tasks); a task without samples counts 0."""
    count = int(tasks.max()) + 1 if len(tasks) else 0
    right = predicted == labels
    return [float(right[tasks == t].mean()) if (tasks == t).any() else 0.0 for t in range(count)]


def incremental_accuracy(row: Sequence[float], counts: Sequence[int]) -> float:
    """Return A_t: the accuracy over all test samples of the tasks seen, weighted by their counts."""
    weights = np.asarray(counts[: len(row)], float)
    return float((np.asarray(row) * weights).sum() / weights.sum())


def forgetting(matrix: Matrix, after: int) -> float:
    """Return the mean over earlier tasks of (best accuracy so far - accuracy now), 0 after the first task.

    matrix: row i has i + 1 entries. after: the row. The best is taken over rows before `after`, so that a task that was
    never better than now counts negative (the form of Chaudhry et al.).
    """
    if after == 0:
        return 0.0
    drops = [max(matrix[i][j] for i in range(j, after)) - matrix[after][j] for j in range(after)]
    return float(np.mean(drops))


def forgetting_including_now(matrix: Matrix) -> float:
    """Return the same for the last row with the last row among the candidates for the best: never negative."""
    last = len(matrix) - 1
    if last == 0:
        return 0.0
    drops = [max(matrix[i][j] for i in range(j, last + 1)) - matrix[last][j] for j in range(last)]
    return float(np.mean(drops))


def drop_since_learned(matrix: Matrix, after: int) -> list[float]:
    """Return, for each task before `after`, the accuracy right after learning it less the accuracy now."""
    return [float(matrix[j][j] - matrix[after][j]) for j in range(after)]


def forward_transfer(matrix: Matrix, untrained: Sequence[float]) -> float:
    """Return the mean over tasks but the first of (accuracy just before a task is learned - accuracy before any training).

    matrix: row i reaches at least to task i + 1 (Lopez-Paz and Ranzato, arXiv 1706.08840). untrained: by task. One task has 0.
    """
    gains = [matrix[j - 1][j] - untrained[j] for j in range(1, len(matrix))]
    return float(np.mean(gains)) if gains else 0.0


def summarise(matrix: Matrix, counts: Sequence[int]) -> Mapping[str, float]:
    """Return last and average incremental accuracy, the plain mean over tasks, and forgetting in both forms."""
    incremental = [incremental_accuracy(row, counts) for row in matrix]
    drops = drop_since_learned(matrix, len(matrix) - 1)
    return {
        "last accuracy": incremental[-1],
        "average incremental accuracy": float(np.mean(incremental)),
        "last accuracy, mean over tasks": float(np.mean(matrix[-1])),
        "forgetting": forgetting(matrix, len(matrix) - 1),
        "forgetting since learned": float(np.mean(drops)) if drops else 0.0,
    }
