"""Numbers of a continual run from its curves: scores of all tasks at all evaluations, as Continual World (arXiv 2105.10919).

scores: float[seeds, evaluations, tasks]; `each` evaluations belong to the training of one task, in order of tasks. alone:
for each task float[seeds, each] of a model that is trained on it alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnitrain.errors import UsageError

Scores = NDArray[np.float64]
LAST = 5
"""Evaluations whose mean stands for the end of a training."""


def _checked(scores: ArrayLike, each: int) -> Scores:
    found = np.asarray(scores, float)
    if found.ndim != 3 or found.shape[1] != each * found.shape[2]:
        raise UsageError(
            f"scores: expected [seeds, evaluations, tasks] with {each} evaluations for each task; found {list(found.shape)}."
        )
    return found


def _own(scores: Scores, each: int) -> Scores:
    """Return what a task scored during its own training, float[seeds, each, tasks]."""
    return np.stack([scores[:, task * each : (task + 1) * each, task] for task in range(scores.shape[2])], axis=-1)


def final_scores(scores: ArrayLike, each: int, last: int = LAST) -> Scores:
    """Return the mean of the last evaluations of all, float[seeds, tasks]; its mean is the average performance."""
    final: Scores = _checked(scores, each)[:, -last:].mean(axis=1)
    return final


def scores_when_learned(scores: ArrayLike, each: int, last: int = LAST) -> Scores:
    """Return the mean of the last evaluations of each task's own training, float[seeds, tasks]."""
    learned: Scores = _own(_checked(scores, each), each)[:, -last:].mean(axis=1)
    return learned


def forgotten(scores: ArrayLike, each: int, last: int = LAST) -> Scores:
    """Return what each task scored when it was learned less what it scores at the end, float[seeds, tasks]."""
    return scores_when_learned(scores, each, last) - final_scores(scores, each, last)


def transferred(scores: ArrayLike, each: int, alone: Sequence[ArrayLike], normalised: bool = True) -> Scores:
    """Return the forward transfer of each task, float[tasks]: its mean score in its own training above that alone.

    normalised: divide by what was missing alone, 1 - the mean; a task that is perfect alone has nan.
    """
    found = _checked(scores, each)
    if len(alone) != found.shape[2]:
        raise UsageError(f"alone: expected the scores of {found.shape[2]} tasks trained alone; found {len(alone)}.")
    baseline = np.array([np.asarray(task, float).mean() for task in alone])
    gain: Scores = _own(found, each).mean(axis=(0, 1)) - baseline
    if not normalised:
        return gain
    missing = np.where(baseline < 1, 1 - baseline, np.nan)
    return gain / missing


def interquartile_mean(values: ArrayLike) -> float:
    """Return the mean without the floor(n / 4) lowest and highest values, which single tasks move less."""
    ordered = np.sort(np.asarray(values, float), axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())
