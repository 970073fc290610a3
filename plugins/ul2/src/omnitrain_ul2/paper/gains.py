"""How models compare over tasks: relative gain over anchors (section 4.3), and the worst-case regret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omnitrain.errors import DataError

Scores = Mapping[str, Mapping[str, float]]


def relative_gain(score: float, anchor: float) -> float:
    """Return (score - anchor) / |anchor|; higher scores are better, also negative ones such as log-likelihoods.

    Raises DataError for an anchor of 0, over which no gain is defined.
    """
    if anchor == 0:
        raise DataError("The anchor's score is 0, so there is no relative gain over it; take a metric that is not 0.")
    return (score - anchor) / abs(anchor)


def gains_over(scores: Scores, anchor: str) -> dict[str, dict[str, float]]:
    """Return each arm's gain over an anchor by task. scores: arm to task to score, the same tasks for every arm.

    Raises DataError for an unknown anchor, for arms with other tasks, and naming tasks on which the anchor's score is 0.
    """
    if anchor not in scores:
        raise DataError(f"There is no arm {anchor!r} to be the anchor; there are {', '.join(scores)}.")
    base = scores[anchor]
    for arm, tasks in scores.items():
        if set(tasks) != set(base):
            raise DataError(f"Arms {arm!r} and {anchor!r} were measured on other tasks; measure all on {', '.join(base)}.")
    empty = [task for task, score in base.items() if score == 0]
    if empty:
        raise DataError(
            f"The score of anchor {anchor!r} on {', '.join(empty)} is 0, so there is no relative gain over it; "
            "train longer or take another metric, such as log-likelihood."
        )
    return {arm: {task: relative_gain(tasks[task], base[task]) for task in base} for arm, tasks in scores.items()}


def mean_gains(scores: Scores, anchors: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return anchor to arm to the plain mean of the gains over all tasks: the paper's overall score."""
    found = {}
    for anchor in anchors:
        gains = gains_over(scores, anchor)
        found[anchor] = {arm: sum(tasks.values()) / len(tasks) for arm, tasks in gains.items()}
    return found


def worst_regret(losses: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return each arm's largest distance to the best arm over the tasks. losses: arm to task to loss."""
    tasks = next(iter(losses.values()))
    best = {task: min(values[task] for values in losses.values()) for task in tasks}
    return {arm: max(values[task] - best[task] for task in tasks) for arm, values in losses.items()}
