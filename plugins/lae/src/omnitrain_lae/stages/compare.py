"""Stage `lae/compare`: continually learned models side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnitrain.api import Evaluation, Figure, Metric, Run, Table
from omnitrain_lae.configs.stages import CompareConfig
from omnitrain_lae.evaluators.answers import ENSEMBLE, Answered, is_sequence, read_answers
from omnitrain_tuning.metrics import forgetting, incremental_accuracy


def compare(config: CompareConfig, run: Run) -> None:
    """Put arms side by side: last and average incremental accuracy, forgetting, and whether tuning paid at all."""
    found = {name: read_answers(run.input(use).path) for name, use in config.arms.items()}
    run.report("lae/compare", comparison(found, config.frozen, config.margin))


def comparison(found: dict[str, list[Answered]], frozen: str | None, margin: float) -> Evaluation:
    """Return the table of arms. frozen: the arm without tuning; a table without benefit says so."""
    metrics: dict[str, Metric] = {}
    rows: list[list[Any]] = []
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, results in found.items():
        counts = results[-1].counts()
        total = sum(counts)
        steps = [incremental_accuracy(result.accuracies(), counts) for result in results]
        values: dict[str, float | str] = {"last accuracy": steps[-1], "average": "", "forgetting": ""}
        if is_sequence(results):
            rows_of = [result.accuracies(ENSEMBLE) for result in results]
            values |= {"average": float(np.mean(steps)), "forgetting": forgetting(rows_of, len(rows_of) - 1)}
            curves[name] = [(float(i + 1), value) for i, value in enumerate(steps)]
        known = incremental_accuracy(results[-1].accuracies("task known"), counts)
        rows.append([name, *values.values(), known])
        for what, value in values.items():
            if isinstance(value, float):
                metrics[f"{name}/{what}"] = Metric(value, total, "lower" if what == "forgetting" else "higher")
    caption = _verdict({row[0]: float(row[1]) for row in rows}, frozen, margin)
    columns = ("arm", "last accuracy", "average incremental accuracy", "forgetting", "task known")
    table = Table(columns, rows, caption)
    return Evaluation(metrics, {"arms": table}, figures={"arms": Figure(curves, "tasks learned", "accuracy", caption)})


def _verdict(last: dict[str, float], frozen: str | None, margin: float) -> str:
    if frozen is None or frozen not in last:
        return "Accuracy on all tests after the last task."
    level = last[frozen]
    better = [name for name, value in last.items() if name != frozen and value > level + margin]
    if not better:
        return f"Benefit of tuning not shown: no arm is more than {margin:g} above {frozen}."
    return f"Above {frozen} by more than {margin:g}: {', '.join(better)}."
