"""From the runs of claims to their numbers."""

from __future__ import annotations

from collections.abc import Mapping

from omnitrain.api import FinishedRun

_EXAM, _AVERAGE = "orca/reasoning", "told/average"


def explanations(runs: Mapping[str, FinishedRun]) -> dict[str, float]:
    """Accuracy on held-out questions of students of the same queries: explanations, answers alone, and none."""
    stages = {"explanations": "exam-strong-only", "answers only": "exam-answers-only", "untrained": "exam-untrained"}
    return {arm: runs["mini"].values(stage, _EXAM)[_AVERAGE] for arm, stage in stages.items()}
