"""Stage `ul2/gains`: several models on tasks x modes, with their mean relative gains over anchors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnitrain.api import Data, Evaluation, Metric, Run, Table, UseModel
from omnitrain.engine import reads_data
from omnitrain.errors import UsageError
from omnitrain_ul2.configs.stages import GainsConfig
from omnitrain_ul2.evaluators.tasks import Cell, Examiner, Grid, check_task, grid_evaluation, make_examiner, measure_task
from omnitrain_ul2.paper.gains import gains_over, mean_gains


def best_scores(grid: Grid, tasks: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """Return each task's score, by its first metric, in the mode that gives most, and that mode."""
    found = {}
    for task, modes in grid.items():
        scores = {mode: cell.scores[tasks[task].metrics[0]] for mode, cell in modes.items()}
        best = max(scores, key=lambda mode: scores[mode])
        found[task] = scores[best], best
    return found


def _check(config: GainsConfig, run: Run, fields: Mapping[str, Data]) -> None:
    for models in config.arms.values():
        for use in models.values():
            from_stage(use)
    for name, task in config.tasks.items():
        if (data := fields.get(f"tasks.{name}.data")) is not None:
            check_task(name, task, data)


@reads_data(check=_check)
def gains(config: GainsConfig, run: Run) -> None:
    """Measure every arm on every task under every mode; report the grid, the best modes and the mean relative gains.

    Raises UsageError for a model that is not from an earlier stage.
    """
    grids: dict[str, dict[str, Mapping[str, Cell]]] = {}
    data = {name: run.build(task.data) for name, task in config.tasks.items()}
    for arm, models in config.arms.items():
        examiners: dict[str, Examiner] = {}
        grids[arm] = {}
        for name, task in config.tasks.items():
            if task.model not in examiners:
                predictor = run.open(from_stage(models[task.model]), device=config.device).predictor
                examiners[task.model] = make_examiner("ul2/gains", predictor, config)
            grids[arm][name] = measure_task(examiners[task.model], name, task, config, data[name], run)
    run.report("ul2/gains", gains_evaluation(grids, config))


def from_stage(use: UseModel) -> UseModel:
    """Return the field of an arm's model. Raises UsageError when the model is of no earlier stage."""
    if use.source is None:
        raise UsageError("arms: an arm's models are from earlier stages; write {from: stage}.")
    return use


def gains_evaluation(grids: Mapping[str, Grid], config: GainsConfig) -> Evaluation:
    """Return scores in each arm's best modes, gains by task, and their means over tasks, in percent.

    Raises DataError where an anchor scores 0.
    """
    best = {arm: best_scores(grid, config.tasks) for arm, grid in grids.items()}
    scores = {arm: {task: score for task, (score, _) in tasks.items()} for arm, tasks in best.items()}
    counts = {task: next(iter(modes.values())).count for task, modes in next(iter(grids.values())).items()}
    found = {f"{arm}/{name}": metric for arm, grid in grids.items() for name, metric in grid_evaluation(grid).metrics.items()}
    rows: list[list[Any]] = [
        [arm, *(f"{value:.4g} [{mode}]" for value, mode in tasks.values()), ""] for arm, tasks in best.items()
    ]
    means = mean_gains(scores, config.anchors)
    for anchor in config.anchors:
        for arm, tasks in gains_over(scores, anchor).items():
            mean = 100 * means[anchor][arm]
            found[f"{arm}/mean gain over {anchor}"] = Metric(mean, len(tasks), "higher", unit="%")
            rows.append([f"{arm} over {anchor} (%)", *(100 * gain for gain in tasks.values()), mean])
    columns = ("arm", *(f"{task} ({config.tasks[task].metrics[0]}, n {n})" for task, n in counts.items()), "mean gain")
    caption = "Scores in each arm's best mode on these rows, then relative gains (score - anchor) / |anchor|."
    return Evaluation(found, {"gains": Table(columns, rows, caption)})
