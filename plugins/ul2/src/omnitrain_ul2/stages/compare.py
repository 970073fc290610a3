"""Stage `ul2/compare`: models side by side on every denoiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnitrain.api import Data, Evaluation, Figure, Metric, Run, Table
from omnitrain.engine import reads_data
from omnitrain.errors import UsageError
from omnitrain_ul2.configs.stages import CompareConfig
from omnitrain_ul2.data.denoising import DenoisingData
from omnitrain_ul2.evaluators.cross_denoising import CrossDenoising, TaskLoss, caption, cross_denoising
from omnitrain_ul2.paper.gains import worst_regret


def arms_data(config: CompareConfig, run: Run) -> dict[str, DenoisingData]:
    """Return the data that each arm was trained on.

    Raises UsageError for an arm that was trained on other data or with another tokenizer.
    """
    found: dict[str, DenoisingData] = {}
    for name, arm in config.arms.items():
        use = run.model_data(arm.model)
        data = None if use is None else run.data(use)[0]
        if not isinstance(data, DenoisingData):
            raise UsageError(f"arms.{name}.model: expected a model trained on ul2/denoising data; write {{from: stage}}.")
        found[name] = data
    texts = {name: data.tokenizer.backend_tokenizer.to_str() for name, data in found.items()}
    first = next(iter(texts))
    for name, text in texts.items():
        if text != texts[first]:
            raise UsageError(f"arms.{name}: its tokenizer differs from that of arm {first!r}, so losses can't compare.")
    return found


def _check(config: CompareConfig, run: Run, fields: Mapping[str, Data]) -> None:
    for data in arms_data(config, run).values():
        CrossDenoising(config).check_data(data, run)


@reads_data(check=_check)
def compare(config: CompareConfig, run: Run) -> None:
    """Measure every arm on the same masked texts; report losses, the unigram level and each arm's worst-case regret.

    Raises what `arms_data` raises.
    """
    found: dict[str, dict[str, TaskLoss]] = {}
    for name, data in arms_data(config, run).items():
        arm = config.arms[name]
        opened = run.open(arm.model, device=config.device, data=data)
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
