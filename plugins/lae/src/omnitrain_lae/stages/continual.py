"""Stages `lae/continual` and `lae/compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np

from omnitrain.api import Data, Evaluation, Figure, Metric, Prepares, SavesAssets, Table, TellsFacts
from omnitrain.engine import Engine, count_parameters, isolated, save_model, seed_everything, to_device
from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain_lae.configs.stages import ComparisonConfig, ContinualConfig
from omnitrain_lae.data.class_incremental import HasTasks
from omnitrain_lae.data.feeding import in_order
from omnitrain_lae.evaluators.answers import ENSEMBLE, Answered, evaluation, is_sequence
from omnitrain_lae.models.learned import backbone_facts, make_learner
from omnitrain_lae.models.learner import Learner
from omnitrain_lae.paper.metrics import forgetting, incremental_accuracy
from omnitrain_lae.stages.learning import Learning, check_engine


def continual(config: ContinualConfig, run: Any) -> None:
    """Learn all tasks; leave the artifacts "model", "answers" (of every expert after every task) and "accuracy"."""
    engine = Engine(config.precision, config.device)
    check_engine(engine)
    data = run.build(config.data)
    if not isinstance(data, HasTasks):
        raise UsageError("data: it has no tasks; wrap it: {use: lae/class-incremental, data: {...}}.")
    if isinstance(data, Prepares):
        data.prepare(run.workspace, run)
    facts = dict(data.facts()) if isinstance(data, TellsFacts) else {}
    learner = build_learner(config, run, data, facts, engine)
    seed_everything(run.seed("training"))
    every, trained = count_parameters(learner)
    sizes = data.task_sizes()
    run.event("learning", tasks=len(sizes), parameters=every, trained_below_heads=trained, device=str(engine.device))
    learning = Learning(config, learner, cast(Data, data), sizes, run, engine)
    results = learning.run()
    run.report("lae/continual", evaluation(results), learning.total)
    _keep(config, run, learner, results, facts, data)


def build_learner(config: ContinualConfig, run: Any, data: Any, facts: dict[str, Any], engine: Engine) -> Learner:
    """Build backbone and method, and look at one example for the width of the features."""
    with isolated(run.seed("model")):
        model = run.build(config.model, backbone_facts(facts))
        pet = run.build(config.pet) if config.tune == "pet" else None
        learner = make_learner(model, pet, config.pooling, config.feature_module, config.tune == "backbone")
        engine.prepare(learner)
        first = next(iter(in_order(data, "train/1", 1)))
        learner.measure(to_device(first, engine.device))
    return learner


def _keep(
    config: ContinualConfig, run: Any, learner: Learner, results: list[Answered], facts: dict[str, Any], data: Any
) -> None:
    """Write what the stage leaves: the model, all answers, and the accuracies as JSON."""
    settings = {
        "backbone": _use(run.describe_model(config.model)),
        "pet": _use(run.describe_model(config.pet)) if config.tune == "pet" else None,
        "pooling": config.pooling,
        "feature_module": config.feature_module,
        "width": learner.width,
        "classes": [head.out_features for head in learner.heads],
        "offline": len(learner.offline_names()),
        "only_offline": config.only_offline,
        "classifier": config.classifier,
    }
    described = {"use": "lae/learned", "config": settings}
    with run.artifact("model", "model", **described) as path:
        save_model(learner, path, {**described, "facts": facts, "data": run.describe_data(config.data)})
        if isinstance(data, SavesAssets):
            data.save_assets(path)
    with run.artifact("answers", "predictions") as path:
        path.mkdir(parents=True, exist_ok=True)
        write_answers(results, path)
    with run.artifact("accuracy", "accuracies") as path:
        path.mkdir(parents=True, exist_ok=True)
        (path / "accuracy.json").write_text(json.dumps(accuracies(results), indent=1) + "\n", encoding="utf-8")


def _use(described: dict[str, Any]) -> dict[str, Any]:
    return {"use": described["use"], **described["config"]}


def write_answers(results: list[Answered], directory: Path) -> None:
    """Write an .npz a task: labels, tasks, and the answers of every expert as `answers/NAME`."""
    for result in results:
        arrays = {"labels": result.labels, "tasks": result.tasks}
        arrays |= {f"answers/{name}": given for name, given in result.answers.items()}
        if result.logits is not None:
            arrays["logits"] = result.logits
        np.savez_compressed(directory / f"after-{result.after + 1:03d}.npz", allow_pickle=False, **arrays)


def read_answers(directory: Path) -> list[Answered]:
    """Read what `write_answers` wrote. Raises EnvironmentFault where there is nothing."""
    files = sorted(directory.glob("after-*.npz"))
    if not files:
        raise EnvironmentFault(f"{directory} holds no answers; run the stage lae/continual again.")
    results = []
    for file in files:
        with np.load(file, allow_pickle=False) as stored:
            answers = {n.removeprefix("answers/"): stored[n] for n in stored if n.startswith("answers/")}
            logits = stored.get("logits", None)
            after = int(file.stem.removeprefix("after-")) - 1
            results.append(Answered(after, stored["labels"], stored["tasks"], answers, logits))
    return results


def accuracies(results: list[Answered]) -> dict[str, Any]:
    """Return the accuracy matrix of every expert that answered, with the number of tests of each task."""
    matrices = {
        name: {result.after + 1: result.accuracies(name) for result in results if name in result.answers}
        for name in results[-1].answers
    }
    return {"tests": results[-1].counts(), "after task": matrices}


def compare(config: ComparisonConfig, run: Any) -> None:
    """Put arms side by side: last and average incremental accuracy, forgetting, and whether tuning paid at all."""
    found: dict[str, list[Answered]] = {}
    for name, use in config.arms.items():
        if use.source is None:
            raise UsageError(f"arms.{name}: expected {{from: stage}} of a stage lae/continual.")
        found[name] = read_answers(run.input(use.source.partition("/")[0], "answers").path)
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
