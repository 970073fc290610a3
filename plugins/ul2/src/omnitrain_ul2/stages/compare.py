"""Stage `ul2/compare`: models side by side on every denoiser."""

from __future__ import annotations

from typing import Any

from omnitrain.api import Evaluation, Figure, Metric, Run, Table
from omnitrain.errors import UsageError
from omnitrain_ul2.configs.stages import CompareConfig
from omnitrain_ul2.data.denoising import DenoisingData
from omnitrain_ul2.evaluators.cross_denoising import TaskLoss, caption, cross_denoising
from omnitrain_ul2.paper.gains import worst_regret


def compare(config: CompareConfig, run: Run) -> None:
    """Measure every arm on the same masked texts; report losses, the unigram level and each arm's worst-case regret.

    Raises UsageError for an arm that was trained on other data or with another tokenizer.
    """
    found: dict[str, dict[str, TaskLoss]] = {}
    texts: dict[str, str] = {}
    for name, arm in config.arms.items():
        use = run.model_data(arm.model)
        data = None if use is None else run.data(use)[0]
        if not isinstance(data, DenoisingData):
            raise UsageError(f"arms.{name}.model: expected a model trained on ul2/denoising data; write {{from: stage}}.")
        opened = run.open(arm.model, device=config.device, data=data)
        texts[name] = data.tokenizer.backend_tokenizer.to_str()
        if texts[name] != next(iter(texts.values())):
            raise UsageError(
                f"arms.{name}: its tokenizer differs from that of arm {next(iter(texts))!r}, so losses can't compare."
            )
        found[name] = dict(cross_denoising(opened.predictor, data, config, run, arm.mode))
    run.report("ul2/compare", evaluation(found, config))


def evaluation(found: dict[str, dict[str, TaskLoss]], config: CompareConfig) -> Evaluation:
    """Return the comparison: a row per denoiser, a column per arm."""
    metrics = {f"{arm}/{task}": loss.metric() for arm, tasks in found.items() for task, loss in tasks.items()}
    values = {arm: {task: metrics[f"{arm}/{task}"].value for task in tasks} for arm, tasks in found.items()}
    for arm, regret in worst_regret(values).items():
        metrics[f"{arm}/worst-case regret"] = Metric(regret, len(values[arm]), "lower", unit="nats/token")
    first = next(iter(found.values()))
    rows: list[list[Any]] = [
        [task, loss.unigram / loss.tokens, *(values[arm][task] for arm in found), round(loss.tokens)]
        for task, loss in first.items()
    ]
    rows.append(["worst-case regret", "", *(metrics[f"{arm}/worst-case regret"].value for arm in found), ""])
    table = Table(("denoiser", "unigram", *found, "tokens"), rows, caption(config))
    points = {arm: [(float(i), v) for i, v in enumerate(tasks.values(), 1)] for arm, tasks in values.items()}
    figure = Figure(points, "denoiser (row of the table)", "loss per token", "Each arm on each denoiser.")
    return Evaluation(metrics, {"denoisers": table}, figures={"denoisers": figure})
