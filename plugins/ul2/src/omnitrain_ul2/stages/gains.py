"""Evaluator `ul2/tasks` and stage `ul2/gains`: tasks x modes of one model, and of several arms with relative gains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnitrain.api import Context, Evaluation, Metric, Run, Sample, Table, UseModel
from omnitrain.engine import choose_device
from omnitrain.errors import UsageError
from omnitrain_ul2.configs.data import GainsConfig, TasksConfig
from omnitrain_ul2.evaluators.tasks import AnswersIds, Cell, Examiner, measure_task
from omnitrain_ul2.paper.gains import gains_over, mean_gains

Grid = Mapping[str, Mapping[str, Cell]]


def grid_evaluation(grid: Grid) -> Evaluation:
    """Return tasks x modes: a metric "task/mode/name" each, a table with a column per mode, and some answers."""
    cells = [(task, mode, cell) for task, modes in grid.items() for mode, cell in modes.items()]
    values = {
        f"{task}/{mode}/{name}": Metric(value, cell.count, "higher", unit="nats/token" if name == "log-likelihood" else "%")
        for task, mode, cell in cells
        for name, value in cell.scores.items()
    }
    modes = list(next(iter(grid.values())))
    rows = [
        [task, name, *(columns[mode].scores[name] for mode in modes), columns[modes[0]].count]
        for task, columns in grid.items()
        for name in columns[modes[0]].scores
    ]
    samples = {
        task: [
            Sample({"mode": mode, "inputs": question.prompt, "written": text, "right answer": question.answer})
            for mode, cell in columns.items()
            for question, text in zip(cell.asked, cell.given, strict=False)
        ]
        for task, columns in grid.items()
    }
    table = Table(("task", "metric", *modes, "questions"), rows, "By mode token in front of the inputs.")
    return Evaluation(values, {"tasks x modes": table}, {task: found for task, found in samples.items() if found})


class Tasks:
    """A model on text-to-text tasks under every mode."""

    def __init__(self, config: TasksConfig) -> None:
        self.config = config

    def __call__(self, predictor: Any, data: Any, run: Any, /) -> Evaluation:
        """Answer the questions of every task.

        Raises UsageError when the predictor starts from no token ids, or a task's data are no pairs.
        """
        examiner = make_examiner("ul2/tasks", predictor, self.config)
        tasks = self.config.tasks.items()
        return grid_evaluation(
            {name: measure_task(examiner, name, task, self.config, run.build(task.data), run) for name, task in tasks}
        )


def make_examiner(name: str, predictor: Any, config: TasksConfig | GainsConfig) -> Examiner:
    """Return what asks a predictor. Raises UsageError when it takes no token ids."""
    if not isinstance(predictor, AnswersIds):
        raise UsageError(f"{name} needs a predictor that starts from token ids, as language/t5 and language/causal do.")
    return Examiner(predictor, config.mode_texts, config.batch_size)


def build_tasks(config: TasksConfig, context: Context) -> Tasks:
    """Make the evaluator `ul2/tasks`."""
    return Tasks(config)


def best_scores(grid: Grid, tasks: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """Return each task's score, by its first metric, in the mode that gives most, and that mode."""
    found = {}
    for task, modes in grid.items():
        scores = {mode: cell.scores[tasks[task].metrics[0]] for mode, cell in modes.items()}
        best = max(scores, key=lambda mode: scores[mode])
        found[task] = scores[best], best
    return found


def gains(config: GainsConfig, run: Any) -> None:
    """Measure every arm on every task under every mode; report the grid, the best modes and the mean relative gains."""
    grids: dict[str, dict[str, Mapping[str, Cell]]] = {}
    data = {name: run.build(task.data) for name, task in config.tasks.items()}
    for arm, models in config.arms.items():
        examiners = {}
        grids[arm] = {}
        for name, task in config.tasks.items():
            if task.model not in examiners:
                examiners[task.model] = make_examiner("ul2/gains", _predictor(models[task.model], config.device, run), config)
            grids[arm][name] = measure_task(examiners[task.model], name, task, config, data[name], run)
    run.report("ul2/gains", gains_evaluation(grids, config))


def _predictor(use: UseModel, device: str, run: Run) -> Any:
    if use.source is None:
        raise UsageError("arms: an arm's models are from earlier stages; write {from: stage}.")
    stage, _, artifact = use.source.partition("/")
    model = run.build(use)
    model.to(choose_device(device))
    model.eval()
    return run.predictor(model, run.describe_model(use)["use"], run.input(stage, artifact or "model").path)


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
