"""Stages `phf/score` and `phf/front`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping

from omnitrain.api import Data, Evaluation, Metric, Run, Scatter, Table, UseModel
from omnitrain.engine import check_evaluators, reads_data
from omnitrain.errors import UsageError
from omnitrain_phf.configs.stages import FrontConfig, ScoreConfig
from omnitrain_phf.paper.pareto import pareto
from omnitrain_phf.scorers.scoring import HEADER, STATISTICS, scored


def score(config: ScoreConfig, run: Run) -> None:
    """Score a text; leave the artifact "data" for phf/scored-text and report statistics of the scores."""
    folder = scored(config, run.workspace, run)
    with run.artifact("data", "data", use="phf/scored-text", config={}) as path:
        shutil.copytree(folder, path, ignore=shutil.ignore_patterns("complete.json"))
    found: Mapping[str, float] = json.loads((folder / STATISTICS).read_text("utf-8"))
    about = json.loads((folder / HEADER).read_text("utf-8"))
    documents = int(found["documents"])
    metrics = {name: Metric(value, documents) for name, value in found.items()}
    rows = [[name, value] for name, value in found.items()]
    note = "; ".join([f"{about['scorer']} {about['versions']} per {about['segments']}", *about["notes"]])
    run.report("phf/score", Evaluation(metrics, {"scores": Table(("what", "value"), rows, note)}))
    run.event("scored", **{name.replace(" ", "_"): value for name, value in found.items()})


def _trained_on(name: str, use: UseModel, run: Run) -> Data:
    """Return the data of an arm's stage, ready to be read. Raises UsageError for an arm that is no trained model."""
    data_use = run.model_data(use)
    if use.source is None or data_use is None:
        raise UsageError(f"arms.{name}: expected {{from: stage}} of a trained model.")
    return run.data(data_use)[0]


def _check(config: FrontConfig, run: Run, fields: Mapping[str, Data]) -> None:
    for name, use in config.arms.items():
        check_evaluators([config.misalignment, config.capability], _trained_on(name, use, run), {}, run)


@reads_data(check=_check)
def front(config: FrontConfig, run: Run) -> None:
    """Measure every arm twice; report the points, their figure, and which are Pareto-optimal."""
    found: dict[str, tuple[Metric, Metric]] = {}
    for name, use in config.arms.items():
        run.stop_if_asked()
        found[name] = _measure(name, use, config, run)
    run.report("phf/front", front_evaluation(found, config.misalignment_metric, config.capability_metric))


def _measure(name: str, use: UseModel, config: FrontConfig, run: Run) -> tuple[Metric, Metric]:
    data = _trained_on(name, use, run)
    opened = run.open(use, device=config.device, data=data)
    pair = []
    for label, evaluator, metric in (
        ("misalignment", config.misalignment, config.misalignment_metric),
        ("capability", config.capability, config.capability_metric),
    ):
        evaluation = run.evaluate([evaluator], opened, data, report=False)[evaluator.label]
        if metric not in evaluation.metrics:
            known = ", ".join(evaluation.metrics)
            raise UsageError(f"{label}_metric: {evaluator.use} gives no {metric!r}; it gives {known}.")
        pair.append(evaluation.metrics[metric])
    return pair[0], pair[1]


def front_evaluation(found: Mapping[str, tuple[Metric, Metric]], x_name: str, y_name: str) -> Evaluation:
    """Return metrics, table and figure of arms. found: arm to (misalignment, capability)."""
    signs = {name: -1.0 if pair[1].direction == "higher" else 1.0 for name, pair in found.items()}
    points = {name: (pair[0].value, signs[name] * pair[1].value) for name, pair in found.items()}
    optimal = pareto(points)
    metrics = {f"{name}/misalignment": pair[0] for name, pair in found.items()}
    metrics |= {f"{name}/capability": pair[1] for name, pair in found.items()}
    metrics |= {f"{name}/on the front": Metric(float(name in optimal), 1) for name in found}
    rows = [[name, pair[0].value, pair[1].value, "yes" if name in optimal else ""] for name, pair in found.items()]
    table = Table(("arm", x_name, y_name, "on the front"), rows)
    series = {name: [(pair[0].value, pair[1].value)] for name, pair in found.items()}
    scatter = Scatter(series, x_name, y_name, "One point an arm.", labels={name: [name] for name in found})
    return Evaluation(metrics, {"front": table}, figures={"front": scatter})
