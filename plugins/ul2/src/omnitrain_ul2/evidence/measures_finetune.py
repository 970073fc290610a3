"""From runs of ul2/finetune to the relative gains of claim C1. Light: no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omnitrain.errors import DataError
from omnitrain_ul2.paper.gains import gains_over, mean_gains

ANCHORS = ("span corruption", "causal LM")
OBJECTIVE = "UL2"
# Column to (stage, task, metric); fine-tuned, one-shot and language modelling, as in the paper's tables.
COLUMNS: Mapping[str, tuple[str, str, str]] = {
    "kinds, fine-tuned accuracy": ("measure-kinds", "kinds", "accuracy"),
    "summaries, fine-tuned ROUGE-L": ("measure-summaries", "summaries", "rougeLsum"),
    "kinds, one-shot log-likelihood": ("measure", "kinds", "log-likelihood"),
    "summaries, one-shot log-likelihood": ("measure", "summaries", "log-likelihood"),
}
LANGUAGE_MODEL = "text, log-likelihood"


def _metrics(path: Path) -> dict[str, float]:
    """Return the metrics of a stored evaluation. Raises DataError where it is missing."""
    if not path.exists():
        raise DataError(f"{path} is missing; the run of ul2/finetune did not finish.")
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return {name: float(metric["value"]) for name, metric in content["metrics"].items()}


def scores(run: Path) -> dict[str, float]:
    """Return the score of every column of a finished run, each in the mode that serves it best; higher is better.

    Raises DataError when the run lacks an evaluation.
    """
    found = {}
    for column, (stage, task, metric) in COLUMNS.items():
        values = _metrics(run / stage / "evaluations" / "ul2-tasks.json")
        found[column] = max(v for name, v in values.items() if name.startswith(f"{task}/") and name.endswith(f"/{metric}"))
    folder = run / "measure" / "evaluations"
    files = [folder / f"prefix-lm-{mode}.json" for mode in ("S", "R", "none")]
    found[LANGUAGE_MODEL] = -min(value for file in files for value in _metrics(file).values())
    return found


def finetuning(runs: Mapping[str, Path]) -> dict[str, float]:
    """Mean relative gain (%) of UL2 over each anchor, the smaller of both, and all scores."""
    arms = {name: scores(run) for name, run in runs.items()}
    means = mean_gains(arms, ANCHORS)
    over = {anchor: 100 * means[anchor][OBJECTIVE] for anchor in ANCHORS}
    return {
        "UL2": min(over.values()),
        "no gain": 0.0,
        **{f"mean gain over {anchor} (%)": gain for anchor, gain in over.items()},
        **{
            f"gain over {anchor}, {column} (%)": 100 * gain
            for anchor in ANCHORS
            for column, gain in gains_over(arms, anchor)[OBJECTIVE].items()
        },
        **{f"{name}, {column}": score for name, values in arms.items() for column, score in values.items()},
    }
